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
    static const char *const names[AXIS_COUNT] = { "dp", "tp", "pp" };

    return names[axis];
}

int mesh_size(const struct mesh *m, enum axis axis)
{
    return m->size[axis] > 0 ? m->size[axis] : 1;
}

int mesh_ranks(const struct mesh *m)
{
    int ranks = 1;

    for (int a = 0; a < AXIS_COUNT; a++)
        ranks *= mesh_size(m, (enum axis)a);
    return ranks;
}

/* Ranks between neighbours along the axis. */
static int stride(const struct mesh *m, enum axis axis)
{
    int tp = mesh_size(m, AXIS_TP);

    return axis == AXIS_TP ? 1 : axis == AXIS_DP ? tp : tp * mesh_size(m, AXIS_DP);
}

int mesh_coordinate(const struct mesh *m, int rank, enum axis axis)
{
    return rank / stride(m, axis) % mesh_size(m, axis);
}

int mesh_neighbour(const struct mesh *m, int rank, enum axis axis, int coordinate)
{
    return rank + (coordinate - mesh_coordinate(m, rank, axis)) * stride(m, axis);
}
