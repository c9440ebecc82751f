/* params -- the parameters of a model as its config makes them, without memory for any of them. */
#ifndef PLAIT_CKPT_PARAMS_H
#define PLAIT_CKPT_PARAMS_H

#include "core/graph.h"
#include "models/config.h"

struct param {
    const char *name;
    const struct param_info *info;
    int64_t count; /* elements */
};

struct params {
    struct graph *graph; /* owns names and infos */
    struct param *list;  /* in the order in which the model makes them, as in a state dict */
    size_t count;
    int64_t total; /* elements of all */
};

/* ERR_CONFIG when the model cannot be built, or so large that elements cannot be counted. */
int params_init(struct params *p, const struct config *c);
void params_release(struct params *p);
const struct param *params_find(const struct params *p, const char *name); /* NULL when absent */

/* Initial values of elements first .. first + count - 1 of a parameter in row-major order: functions of
 * (seed, name, index) alone, so that every layout starts alike. On all threads. */
struct param_range {
    int64_t first, count;
};
void param_random(const char *name, const struct param_info *info, uint64_t seed, struct param_range range,
                  float *out);

#endif
