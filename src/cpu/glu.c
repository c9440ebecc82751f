/* glu and its gradient: one pass over memory. */
#include "base/parallel.h"
#include "cpu/activate.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"

enum { TILE = 1 << 13 }; /* floats */

struct work {
    const float *dy, *gate, *up;
    float *y, *dgate, *dup;
    int64_t count;
    enum activation_kind kind;
};

static int64_t tile_end(const struct work *w, int64_t tile)
{
    int64_t end = (tile + 1) * TILE;
    return end < w->count ? end : w->count;
}

static void forward_tile(void *context, int64_t tile)
{
    const struct work *w = context;

    for (int64_t i = tile * TILE, end = tile_end(w, tile); i < end; i += LANES) {
        vec gate = vec_load_upto(w->gate + i, end - i);
        vec_store_upto(w->y + i, vec_activate(w->kind, gate) * vec_load_upto(w->up + i, end - i), end - i);
    }
}

static void backward_tile(void *context, int64_t tile)
{
    const struct work *w = context;

    for (int64_t i = tile * TILE, end = tile_end(w, tile); i < end; i += LANES) {
        vec gate = vec_load_upto(w->gate + i, end - i), up = vec_load_upto(w->up + i, end - i);
        vec dy = vec_load_upto(w->dy + i, end - i);
        if (w->dgate)
            vec_store_upto(w->dgate + i, dy * up * vec_activate_grad(w->kind, gate), end - i);
        if (w->dup)
            vec_store_upto(w->dup + i, dy * vec_activate(w->kind, gate), end - i);
    }
}

static void forward(const struct kernel_args *a)
{
    struct work w = { .gate = a->in[GLU_GATE].data,
                      .up = a->in[GLU_UP].data,
                      .y = a->out[0].data,
                      .count = view_count(&a->out[0]),
                      .kind = (enum activation_kind)a->node->attr[GLU_KIND] };

    parallel_for(ceil_div(w.count, TILE), forward_tile, &w);
}

static void backward(const struct kernel_args *a)
{
    struct work w = { .dy = a->in[GLU_GRAD_DY].data,
                      .gate = a->in[GLU_GRAD_GATE].data,
                      .up = a->in[GLU_GRAD_UP].data,
                      .dgate = output_data(a, GLU_GRAD_DGATE),
                      .dup = output_data(a, GLU_GRAD_DUP),
                      .count = view_count(&a->in[GLU_GRAD_DY]),
                      .kind = (enum activation_kind)a->node->attr[GLU_KIND] };

    parallel_for(ceil_div(w.count, TILE), backward_tile, &w);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, 3);
}

const struct kernel ISA(cpu_glu)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = forward },
    { "reference", .run = ref_glu },
    { 0 },
};
const struct kernel ISA(cpu_glu_grad)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = backward },
    { "reference", .run = ref_glu_grad },
    { 0 },
};
