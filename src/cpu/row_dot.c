/* row_dot and row_scale: one pass over memory, some rows at a time. */
#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum { TILE_FLOATS = 1 << 13 };

struct rows {
    const float *x, *y; /* y: of row_scale the factors */
    float *out;
    int64_t count, width, tile; /* tile: rows of one */
};

static struct rows rows_of(const struct kernel_args *a)
{
    struct rows r = { .x = a->in[0].data,
                      .y = a->in[1].data,
                      .out = a->out[0].data,
                      .count = view_rows(&a->in[0]),
                      .width = view_row(&a->in[0]) };

    r.tile = r.width < TILE_FLOATS ? TILE_FLOATS / (r.width > 0 ? r.width : 1) : 1;
    return r;
}

static int64_t tile_end(const struct rows *r, int64_t tile)
{
    int64_t end = (tile + 1) * r->tile;
    return end < r->count ? end : r->count;
}

static void dot_tile(void *context, int64_t tile)
{
    const struct rows *r = context;

    for (int64_t n = tile * r->tile; n < tile_end(r, tile); n++) {
        const float *x = r->x + n * r->width, *y = r->y + n * r->width;
        vec sum = vec_zero();
        for (int64_t i = 0; i < r->width; i += LANES)
            sum = vec_fma(vec_load_upto(x + i, r->width - i), vec_load_upto(y + i, r->width - i), sum);
        r->out[n] = vec_sum(sum);
    }
}

static void scale_tile(void *context, int64_t tile)
{
    const struct rows *r = context;

    for (int64_t n = tile * r->tile; n < tile_end(r, tile); n++) {
        const float *x = r->x + n * r->width;
        vec s = vec_set(r->y[n]);
        for (int64_t i = 0; i < r->width; i += LANES)
            vec_store_upto(r->out + n * r->width + i, s * vec_load_upto(x + i, r->width - i), r->width - i);
    }
}

static void dot(const struct kernel_args *a)
{
    struct rows r = rows_of(a);

    parallel_for(ceil_div(r.count, r.tile), dot_tile, &r);
}

static void scale_rows(const struct kernel_args *a)
{
    struct rows r = rows_of(a);

    parallel_for(ceil_div(r.count, r.tile), scale_tile, &r);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, 2);
}

const struct kernel ISA(cpu_row_dot)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = dot },
    { "reference", .run = ref_row_dot },
    { 0 },
};
const struct kernel ISA(cpu_row_scale)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = scale_rows },
    { "reference", .run = ref_row_scale },
    { 0 },
};
