/* order -- which sample stands at a place of an epoch: a permutation computed place by place, or stretches of
 * it sorted by length. */
#ifndef PLAIT_DATA_ORDER_H
#define PLAIT_DATA_ORDER_H

#include "base/rng.h"
#include "data/loader.h"

struct order { /* of an epoch */
    struct rng_key key;
    const struct sample_source *source;
    int64_t epoch;
};

int64_t order_at(const struct order *o, int64_t place);

void length_group_init(struct length_group *g, int64_t count, int64_t batch);
void length_group_release(struct length_group *g);
int64_t length_group_at(struct length_group *g, const struct order *o, int64_t place);

#endif
