/* samples -- a caller's own samples as a source of the loader. */
#ifndef PLAIT_API_SAMPLES_H
#define PLAIT_API_SAMPLES_H

#include "api/api.h"
#include "data/objective.h"

struct own_source {
    struct plait_samples given;
    const struct objective *objective;  /* these are settled before the first sample is read */
    const struct sample_source *source; /* how large its parts may be */
};

/* The source reads through own, which stays in its place. ERR_USAGE. */
int own_source_take(struct own_source *own, const struct plait_model *m, const struct plait_samples *given,
                    struct sample_source *out);
/* A sample_source's read; context: a struct own_source. */
int own_source_read(void *context, int64_t index, struct sample *s);

#endif
