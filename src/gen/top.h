/* top -- the k largest of many, without sorting the many: a heap of the best so far, with the worst of them
 * on top to be compared with. */
#ifndef PLAIT_GEN_TOP_H
#define PLAIT_GEN_TOP_H

#include <stdint.h>

struct top {
    double key;
    float score;
    int32_t token, beam;
};

/* Keeps the `room` largest keys given so far; of equals those of the lower beam, then the lower token. */
struct top_list {
    struct top *items;
    int64_t room, count;
};
void top_add(struct top_list *t, const struct top *x);
/* Best first. Nothing can be added after it. */
void top_sort(struct top_list *t);

/* The k-th largest of count numbers, 1 <= k <= count. */
float top_value(const float *x, int64_t count, int64_t k);

#endif
