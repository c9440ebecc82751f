/* Which layers a stage has: exact dynamic programming over the cuts. What is cut are pieces: what stands
 * before the layers, the layers, what stands after them (a large vocabulary's head may be a stage by
 * itself). best(s, k): the least time of the slowest among the first s stages when they have the pieces
 * before k. */
#include "plan/stage.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "plan/shard.h"

double *stages_piece_seconds(const struct plan *p, const struct cluster *cluster)
{
    const struct graph *g = p->graph;
    const struct axis_cost alone = { .axis = AXIS_TP, .size = 1, .cluster = cluster };
    double *seconds = mem_alloc_array((size_t)p->layers + 2, sizeof(seconds[0]));

    for (size_t k = 0; k < g->node_count; k++) {
        const struct node *n = g->nodes[k];
        if (n->unit != UNIT_UPDATE)
            seconds[n->layer + 1] += node_seconds(&alone, n, node_used(n, p->used));
    }
    return seconds;
}

/* from[s * (pieces + 1) + k]: the first piece of stage s when stage s + 1 begins with piece k. */
static void find_cuts(const double *seconds, int pieces, int stages, int *from)
{
    size_t width = (size_t)pieces + 1;
    double *best = mem_alloc_array(width * (size_t)(stages + 1), sizeof(best[0]));

    for (size_t i = 0; i < width * (size_t)(stages + 1); i++)
        best[i] = INFINITY;
    best[0] = 0;
    for (int s = 0; s < stages; s++) {
        for (int k = s + 1; k <= pieces; k++) {
            double mine = 0;
            for (int first = k - 1; first >= s; first--) {
                double before = best[(size_t)s * width + (size_t)first], slowest;
                mine += seconds[first];
                slowest = mine > before ? mine : before;
                if (slowest < best[(size_t)(s + 1) * width + (size_t)k]) {
                    best[(size_t)(s + 1) * width + (size_t)k] = slowest;
                    from[(size_t)s * width + (size_t)k] = first;
                }
            }
        }
    }
    mem_free(best);
}

static int refuse_stages(int layers, int ranks, int chunks)
{
    bool fewer_chunks = chunks > 1 && layers >= ranks;
    int fit = layers >= chunks ? layers / chunks : layers;

    return fail(
        ERR_CONFIG,
        "pipeline_parallel_size %d with pipeline_chunks %d: there may be as many stages as layers, and "
        "the model has %d (nearest: %s%d)",
        ranks, chunks, layers, fewer_chunks ? "pipeline_chunks " : "", fewer_chunks ? layers / ranks : fit);
}

int stages_balance(const double *seconds, int layers, int ranks, int chunks, struct stages *out)
{
    int pieces = layers + 2, stages = ranks * chunks, *from;

    if (layers < stages)
        return refuse_stages(layers, ranks, chunks);
    *out = (struct stages){ .ranks = ranks, .chunks = chunks, .layers = layers };
    out->first_layer = mem_alloc_array((size_t)stages, sizeof(out->first_layer[0]));
    from = mem_alloc_array((size_t)stages * ((size_t)pieces + 1), sizeof(from[0]));
    find_cuts(seconds, pieces, stages, from);
    for (int s = stages - 1, end = pieces; s >= 0; s--) {
        end = from[(size_t)s * ((size_t)pieces + 1) + (size_t)end];
        out->first_layer[s] = end - 1;
    }
    mem_free(from);
    return OK;
}

void stages_copy(const struct stages *from, struct stages *out)
{
    size_t count = (size_t)stage_count(from);

    *out = *from;
    out->first_layer = mem_alloc_array(count, sizeof(out->first_layer[0]));
    memcpy(out->first_layer, from->first_layer, count * sizeof(out->first_layer[0]));
}

void stages_release(struct stages *s)
{
    mem_free(s->first_layer);
    *s = (struct stages){ 0 };
}

int stage_of_layer(const struct stages *s, int layer)
{
    int stage = stage_count(s) - 1;

    while (stage > 0 && s->first_layer[stage] > layer)
        stage--;
    return stage;
}
