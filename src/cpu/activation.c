/* activation and its gradient: one pass over memory. */
#include "base/parallel.h"
#include "cpu/activate.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"

enum { TILE = 1 << 13 }; /* floats */

struct work {
    const float *x, *dy;
    float *y;
    int64_t count;
    enum activation_kind kind;
};

static int64_t tile_count(const struct work *w, int64_t tile)
{
    int64_t rest = w->count - tile * TILE;
    return rest < TILE ? rest : TILE;
}

static void forward_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    const float *x = w->x + tile * TILE;
    float *y = w->y + tile * TILE;
    int64_t i = 0, n = tile_count(w, tile);

    for (; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_activate(w->kind, vec_load(x + i)));
    if (i < n)
        vec_store_part(y + i, vec_activate(w->kind, vec_load_part(x + i, n - i)), n - i);
}

static void backward_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    const float *x = w->x + tile * TILE, *dy = w->dy + tile * TILE;
    float *dx = w->y + tile * TILE;
    int64_t i = 0, n = tile_count(w, tile);

    for (; i + LANES <= n; i += LANES)
        vec_store(dx + i, vec_load(dy + i) * vec_activate_grad(w->kind, vec_load(x + i)));
    if (i < n) {
        vec slope = vec_activate_grad(w->kind, vec_load_part(x + i, n - i));
        vec_store_part(dx + i, vec_load_part(dy + i, n - i) * slope, n - i);
    }
}

static void forward(const struct kernel_args *a)
{
    struct work w = { .x = a->in[0].data,
                      .y = a->out[0].data,
                      .count = view_count(&a->out[0]),
                      .kind = (enum activation_kind)a->node->attr[ACTIVATION_KIND] };

    parallel_for(ceil_div(w.count, TILE), forward_tile, &w);
}

static void backward(const struct kernel_args *a)
{
    struct work w = { .x = a->in[ACTIVATION_GRAD_X].data,
                      .dy = a->in[ACTIVATION_GRAD_DY].data,
                      .y = a->out[0].data,
                      .count = view_count(&a->out[0]),
                      .kind = (enum activation_kind)a->node->attr[ACTIVATION_KIND] };

    parallel_for(ceil_div(w.count, TILE), backward_tile, &w);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, 2);
}

const struct kernel ISA(cpu_activation)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = forward },
    { "reference", .run = ref_activation },
    { 0 },
};
const struct kernel ISA(cpu_activation_grad)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = backward },
    { "reference", .run = ref_activation_grad },
    { 0 },
};
