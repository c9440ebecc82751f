#include "plan/cluster.h"

#include "base/err.h"
#include "comm/world.h"

static double or_else(double figure, double ordinary)
{
    return figure > 0 ? figure : ordinary;
}

struct cluster cluster_complete(const struct cluster *c)
{
    struct cluster all = *c;

    all.flops = or_else(c->flops, 150e9);
    all.memory_bytes = or_else(c->memory_bytes, 12e9);
    all.link_bytes = or_else(c->link_bytes, 6e9);
    all.message_seconds = or_else(c->message_seconds, 20e-6);
    all.host_link_bytes = or_else(c->host_link_bytes, 1.25e9); /* 10 Gbit/s */
    all.host_message_seconds = or_else(c->host_message_seconds, 50e-6);
    return all;
}

/* Ranks between one and the next along the axis. */
static int stride_of(const struct mesh *mesh, enum axis axis)
{
    int stride = 1;

    if (axis != AXIS_TP)
        stride *= mesh_size(mesh, AXIS_TP);
    if (axis == AXIS_PP)
        stride *= mesh_size(mesh, AXIS_DP);
    return stride;
}

/* Ranks are dealt out to hosts in order, so along an axis there is one beyond the host unless its whole block
 * of ranks lies on one. */
static bool leaves_host(const struct cluster *c, const struct mesh *mesh, enum axis axis)
{
    int block = stride_of(mesh, axis) * mesh_size(mesh, axis);

    if (c->host_ranks <= 0 || mesh_ranks(mesh) <= c->host_ranks)
        return false;
    return block > c->host_ranks || c->host_ranks % block != 0;
}

struct cluster cluster_on_axis(const struct cluster *c, const struct mesh *mesh, enum axis axis)
{
    struct cluster on = cluster_complete(c);

    if (leaves_host(c, mesh, axis)) {
        on.link_bytes = on.host_link_bytes;
        on.message_seconds = on.host_message_seconds;
    }
    return on;
}

/* A cluster's hosts have as many ranks each, in order. Where they are dealt out in another way, every link is
 * taken for one between hosts, as the slowest decide. */
int cluster_find_hosts(struct cluster *c, const struct world *w, int ranks)
{
    int64_t first = 0;
    bool other;

    c->hosts = 1;
    c->host_ranks = ranks;
    if (!w || !w->comm)
        return OK;
    first = w->host_ranks;
    TRY(world_share(w, &first, sizeof(first)));
    other = w->host_ranks != first || ranks % w->host_ranks != 0 || w->rank % w->host_ranks != w->host_rank;
    TRY(world_any(w, &other));
    c->host_ranks = other ? 1 : w->host_ranks;
    c->hosts = ranks / c->host_ranks;
    return OK;
}
