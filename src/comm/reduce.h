#ifndef PLAIT_COMM_REDUCE_H
#define PLAIT_COMM_REDUCE_H

#include "core/dtype.h"
#include "core/placement.h"

/* out[i] = in[0][i], then in[1][i], ... in this order. out may be one of them. */
void reduce_in_order(enum reduction r, enum dtype t, const void *const in[], int ranks, int64_t count,
                     void *out);

#endif
