/* add, scale and fill: one pass over memory. */
#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum { TILE = 1 << 14, STREAM = 1 << 20 }; /* floats; STREAM: more than this goes past the caches */

struct work { /* y = factor * a (+ b), or factor alone where a is NULL */
    const float *a, *b;
    float *y, factor;
    int64_t count;
};

static int64_t tile_count(const struct work *w, int64_t tile)
{
    int64_t rest = w->count - tile * TILE;
    return rest < TILE ? rest : TILE;
}

static void add_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    const float *a = w->a + tile * TILE, *b = w->b + tile * TILE;
    float *y = w->y + tile * TILE;
    int64_t i = 0, n = tile_count(w, tile);

    for (; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_load(a + i) + vec_load(b + i));
    if (i < n)
        vec_store_part(y + i, vec_load_part(a + i, n - i) + vec_load_part(b + i, n - i), n - i);
}

static void scale_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    const float *a = w->a + tile * TILE;
    float *y = w->y + tile * TILE;
    int64_t i = 0, n = tile_count(w, tile);
    vec factor = vec_set(w->factor);

    for (; i + LANES <= n; i += LANES)
        vec_store(y + i, factor * vec_load(a + i));
    if (i < n)
        vec_store_part(y + i, factor * vec_load_part(a + i, n - i), n - i);
}

static void fill_tile(void *context, int64_t tile)
{
    const struct work *w = context;

    vec_fill(w->y + tile * TILE, w->factor, tile_count(w, tile), w->count > STREAM);
}

static void run_tiles(const struct kernel_args *args, tile_fn *fn, struct work *w)
{
    w->y = args->out[0].data;
    w->count = view_count(&args->out[0]);
    parallel_for(ceil_div(w->count, TILE), fn, w);
}

/* A side that counts as zeros (NULL) leaves a copy of the other. */
static void run_add(const struct kernel_args *args)
{
    const float *a = args->in[0].data, *b = args->in[1].data;
    struct work w = { .a = a ? a : b, .b = b, .factor = a || b ? 1 : 0 };

    run_tiles(args, a && b ? add_tile : a || b ? scale_tile : fill_tile, &w);
}

static void run_scale(const struct kernel_args *args)
{
    struct work w = { .a = args->in[0].data, .factor = (float)args->node->attr[SCALE_FACTOR] };

    if (!w.a)
        w.factor = 0;
    run_tiles(args, w.a ? scale_tile : fill_tile, &w);
}

static void run_fill(const struct kernel_args *args)
{
    struct work w = { .factor = (float)args->node->attr[FILL_VALUE] };

    run_tiles(args, fill_tile, &w);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, 2);
}

const struct kernel ISA(cpu_add)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = run_add },
    { "reference", .run = ref_add },
    { 0 },
};
const struct kernel ISA(cpu_scale)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = run_scale },
    { "reference", .run = ref_scale },
    { 0 },
};
const struct kernel ISA(cpu_fill)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = run_fill },
    { "reference", .run = ref_fill },
    { 0 },
};
