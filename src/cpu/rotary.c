/* rotary and its table: rows are independent, and one pass over memory. */
#include <math.h>

#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum { TILE = 1 << 13, TABLE_TILE = 1 << 9 }; /* floats */

struct table_work {
    const struct node *node;
    const int32_t *positions, *longest;
    const float *frequencies;
    float *table, attention;
    double original;
    int64_t rows, half, tile_rows;
    bool grows;
};

struct work {
    const float *x, *table;
    float *y, sign;
    int64_t rows, tile_rows, heads, rotated_heads, features, half;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void table_tile(void *context, int64_t tile)
{
    const struct table_work *w = context;

    for (int64_t n = tile * w->tile_rows; n < least(w->rows, (tile + 1) * w->tile_rows); n++) {
        float *row = w->table + n * 2 * w->half;
        bool is_long = w->longest && w->longest[n] > w->original;
        const float *f = w->frequencies + (is_long && !w->grows ? w->half : 0);
        for (int64_t i = 0; i < w->half; i++) {
            float frequency = is_long && w->grows ? rotary_grown(w->node, i, w->longest[n]) : f[i];
            float angle = (float)w->positions[n] * frequency;
            row[i] = (float)cos((double)angle) * w->attention;
            row[w->half + i] = (float)sin((double)angle) * w->attention;
        }
    }
}

static void make_table(const struct kernel_args *a)
{
    struct table_work w = { .node = a->node,
                            .longest = input_data(a, ROTARY_TABLE_LONGEST),
                            .original = a->node->attr[ROTARY_TABLE_ORIGINAL],
                            .grows = a->in[ROTARY_TABLE_FREQUENCIES].dim[0] == 1,
                            .positions = a->in[ROTARY_TABLE_POSITIONS].data,
                            .frequencies = a->in[ROTARY_TABLE_FREQUENCIES].data,
                            .table = a->out[0].data,
                            .attention = (float)a->node->attr[ROTARY_TABLE_ATTENTION],
                            .rows = a->out[0].dim[0],
                            .half = a->out[0].dim[1] / 2 };

    w.tile_rows = ceil_div(TABLE_TILE, w.half);
    parallel_for(ceil_div(w.rows, w.tile_rows), table_tile, &w);
}

static void rotate_head(const struct work *w, const float *x, const float *cosines, float *y)
{
    const float *sines = cosines + w->half;
    vec sign = vec_set(w->sign);

    for (int64_t i = 0; i < w->half; i += LANES) {
        int64_t n = w->half - i;
        vec c = vec_load_upto(cosines + i, n), s = vec_load_upto(sines + i, n) * sign;
        vec one = vec_load_upto(x + i, n), other = vec_load_upto(x + w->half + i, n);
        vec_store_upto(y + i, one * c - other * s, n);
        vec_store_upto(y + w->half + i, other * c + one * s, n);
    }
    if (x != y)
        memcpy(y + 2 * w->half, x + 2 * w->half, (size_t)(w->features - 2 * w->half) * sizeof(float));
}

static void rotate_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    int64_t rest = (w->heads - w->rotated_heads) * w->features;

    for (int64_t n = tile * w->tile_rows; n < least(w->rows, (tile + 1) * w->tile_rows); n++) {
        const float *x = w->x + n * w->heads * w->features;
        float *y = w->y + n * w->heads * w->features;
        for (int64_t h = 0; h < w->rotated_heads; h++, x += w->features, y += w->features)
            rotate_head(w, x, w->table + n * 2 * w->half, y);
        if (x != y)
            memcpy(y, x, (size_t)rest * sizeof(float));
    }
}

static void rotate(const struct kernel_args *a)
{
    const struct view *x = &a->in[ROTARY_X];
    struct work w = { .x = x->data,
                      .table = a->in[ROTARY_TABLE].data,
                      .y = a->out[0].data,
                      .sign = a->node->attr[ROTARY_INVERSE] != 0 ? -1 : 1,
                      .rows = x->dim[0],
                      .heads = x->dim[1] * x->dim[2],
                      .rotated_heads = (int64_t)a->node->attr[ROTARY_PARTS] * x->dim[2],
                      .features = x->dim[3],
                      .half = a->in[ROTARY_TABLE].dim[1] / 2 };

    if (w.heads == 0)
        return;
    if (!w.x) { /* a share that counts as zeros */
        memset(w.y, 0, (size_t)view_count(&a->out[0]) * sizeof(float));
        return;
    }
    w.tile_rows = ceil_div(TILE, w.heads * w.features);
    parallel_for(ceil_div(w.rows, w.tile_rows), rotate_tile, &w);
}

static const char *refuses_table(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, 0);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, 2);
}

const struct kernel ISA(cpu_rotary_table)[] = {
    { "rows " ISA_TEXT, .refuses = refuses_table, .run = make_table },
    { "reference", .run = ref_rotary_table },
    { 0 },
};
const struct kernel ISA(cpu_rotary)[] = {
    { "rows " ISA_TEXT, .refuses = refuses, .run = rotate },
    { "reference", .run = ref_rotary },
    { 0 },
};
