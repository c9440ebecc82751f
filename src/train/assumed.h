/* assumed -- samples where there is no data: as many and as long as those of a large text, their tokens at
 * random. Nothing is learned from them, but everything is planned and every step can be taken. */
#ifndef PLAIT_TRAIN_ASSUMED_H
#define PLAIT_TRAIN_ASSUMED_H

#include "data/objective.h"

struct assumed_text {
    int64_t vocab, length;
    bool labelled;
};

/* out->context is t, which must outlive it. */
void assumed_source(struct assumed_text *t, const struct objective *o, int64_t vocab, int64_t block_size,
                    struct sample_source *out);

#endif
