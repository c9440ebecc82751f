/* placement -- how a tensor lies on the mesh, which is a grid of ranks with named axes. On each axis:
 *
 *   REPLICATE  all ranks hold the same.
 *   SHARD(d)   rank i holds entries [i*c, (i+1)*c) of dim d, c = ceil(size / axis size). What lies past the
 *              end is padding, in memory only.
 *   PARTIAL    the tensor is a reduction over what the ranks hold: their sum, maximum or log-sum-exp.
 *   HELD       the first rank has all of it, the others nothing, which counts as zeros. */
#ifndef PLAIT_CORE_PLACEMENT_H
#define PLAIT_CORE_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

enum axis { AXIS_DP, AXIS_TP, AXIS_COUNT };

struct mesh {
    int size[AXIS_COUNT]; /* ranks along each axis, >= 1; rank = dp * size[TP] + tp */
};

enum placement_kind { REPLICATE, SHARD, PARTIAL, HELD };
enum reduction { REDUCE_SUM, REDUCE_MAX, REDUCE_LOGSUMEXP };

struct placement {
    enum placement_kind kind;
    int dim;                  /* for SHARD */
    enum reduction reduction; /* for PARTIAL */
};

struct layout {
    struct placement on[AXIS_COUNT];
};

bool placement_equal(struct placement a, struct placement b);
const char *axis_name(enum axis axis);
int mesh_ranks(const struct mesh *m);
int mesh_coordinate(const struct mesh *m, int rank, enum axis axis);

#endif
