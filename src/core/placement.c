#include "core/placement.h"

bool placement_equal(struct placement a, struct placement b)
{
    if (a.kind != b.kind)
        return false;
    if (a.kind == SHARD)
        return a.dim == b.dim;
    return a.kind != PARTIAL || a.reduction == b.reduction;
}

const char *axis_name(enum axis axis)
{
    static const char *const names[AXIS_COUNT] = { "dp", "tp" };

    return names[axis];
}

int mesh_ranks(const struct mesh *m)
{
    int ranks = 1;

    for (int a = 0; a < AXIS_COUNT; a++)
        ranks *= m->size[a];
    return ranks;
}

/* tp is innermost: neighbours in rank order talk most. */
int mesh_coordinate(const struct mesh *m, int rank, enum axis axis)
{
    return axis == AXIS_TP ? rank % m->size[AXIS_TP] : rank / m->size[AXIS_TP];
}
