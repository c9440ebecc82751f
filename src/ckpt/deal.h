/* deal -- a model's tensors dealt out as the ranks of a layout would hold them, without any ranks: how one
 * process makes a sharded checkpoint of values that it reads or makes. */
#ifndef PLAIT_CKPT_DEAL_H
#define PLAIT_CKPT_DEAL_H

#include "ckpt/save.h"
#include "ckpt/weights_save.h"
#include "models/config.h"
#include "plan/plan.h"

struct deal;

/* Of tp and pp of the mesh; what can be divided is. rules (may be NULL): see compile_options. ERR_CONFIG when
 * the layout cannot be. */
int deal_create(const struct config *c, const struct mesh *mesh, const struct partition_rules *rules,
                struct deal **out);
void deal_free(struct deal *d); /* NULL is fine */

struct deal_save_options {
    const char *base; /* of the files' names, see ckpt/pieces.h */
    const char *dtype;
    enum manifest_kind kind;
    const char *tag;
};
/* The tensors are parameters, or what the optimizer remembers of them (optimizer_state.h), which goes where
 * the parameter does. Each value is asked for once. */
int deal_save(const struct deal *d, struct save *s, const struct weights_param *list, size_t count,
              const struct deal_save_options *o);

#endif
