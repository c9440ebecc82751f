/* sum_squares -- tiles of fixed size over all inputs, each summed in double; the tiles are then added in
 * order. */
#include "cpu/isa.h"
#include "cpu/many.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum { TILE = 1 << 15 }; /* floats */

struct work {
    const struct view *in;
    struct many many;
    double *sum; /* [tiles] */
};

static void sum_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    int array = many_array(&w->many, tile);
    struct piece p = many_piece(&w->many, tile, array, view_count(&w->in[array]));
    const float *x = (const float *)w->in[array].data + p.first;
    int64_t quarter = p.count / 4 / LANES * LANES; /* four streams of memory are faster than one */
    vecd sum[4] = { vecd_zero(), vecd_zero(), vecd_zero(), vecd_zero() };

    for (int64_t i = 0; i < quarter; i += LANES / 2) {
        for (int k = 0; k < 4; k++) {
            vecd v = vecd_load_floats(x + k * quarter + i);
            sum[k] += v * v;
        }
    }
    double total = vecd_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    for (int64_t i = 4 * quarter; i < p.count; i++)
        total += (double)x[i] * x[i];
    w->sum[tile] = total;
}

static void run(const struct kernel_args *a)
{
    struct work w = { .in = a->in, .many = { .tile = TILE, .first = a->workspace } };
    double total = 0, *out = a->out[0].data;

    for (int i = 0; i < a->node->nin; i++)
        many_add(&w.many, a->in[i].data ? view_count(&a->in[i]) : 0);
    w.sum = (double *)(w.many.first + a->node->nin + 1);
    parallel_for(many_tiles(&w.many), sum_tile, &w);
    for (int64_t t = 0; t < many_tiles(&w.many); t++)
        total += w.sum[t];
    *out = a->add[0] ? *out + total : total;
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    int64_t bytes = 8 * (n->nin + 1);

    for (int i = 0; i < n->nin; i++)
        bytes += 8 * ceil_div(tensor_local_bytes(n->in[i], mesh), TILE * (int64_t)sizeof(float));
    return bytes;
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    for (int i = 0; i < n->nin; i++)
        if (n->in[i]->dtype != DT_F32)
            return "an input is not fp32";
    return n->out[0]->dtype != DT_F64 ? "the sum is not fp64" : NULL;
}

const struct kernel ISA(cpu_sum_squares)[] = {
    { "tiles " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run },
    { "reference", .run = ref_sum_squares },
    { 0 },
};
