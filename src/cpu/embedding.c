/* embedding: rows are copied. Its gradient is cut by columns, each tile adding up its columns of all rows in
 * order: the same sums on any number of threads, and no sorting. */
#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum {
    TILE = 1 << 14,
    COLUMNS = 32,
    STREAM = 1 << 20
}; /* floats; STREAM: more than this goes past the caches */

struct work {
    const struct view *table;
    const int32_t *ids;
    float *rows; /* y or dy */
    int64_t row_count, width, tile_rows, padding;
};

/* Row of this rank's share that holds id, or NULL. */
static float *table_row(const struct work *w, int32_t id)
{
    int64_t row = id - w->table->first[0];

    if (row < 0 || row >= w->table->dim[0] || id >= w->table->whole[0])
        return NULL;
    return (float *)w->table->data + row * w->width;
}

static void forward_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    int64_t last = (tile + 1) * w->tile_rows < w->row_count ? (tile + 1) * w->tile_rows : w->row_count;

    for (int64_t n = tile * w->tile_rows; n < last; n++) {
        const float *row = table_row(w, w->ids[n]);
        if (row)
            memcpy(w->rows + n * w->width, row, (size_t)w->width * sizeof(float));
        else
            memset(w->rows + n * w->width, 0, (size_t)w->width * sizeof(float));
    }
}

static void zero_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    int64_t first = tile * TILE, rest = view_count(w->table) - first;

    vec_fill((float *)w->table->data + first, 0, rest < TILE ? rest : TILE, view_count(w->table) > STREAM);
}

static void backward_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    int64_t first = tile * COLUMNS, count = w->width - first < COLUMNS ? w->width - first : COLUMNS;

    for (int64_t n = 0; n < w->row_count; n++) {
        const float *dy = w->rows + n * w->width + first;
        float *row = table_row(w, w->ids[n]);
        if (!row || w->ids[n] == w->padding)
            continue;
        row += first;
        int64_t i = 0;
        for (; i + LANES <= count; i += LANES)
            vec_store(row + i, vec_load(row + i) + vec_load(dy + i));
        for (; i < count; i++)
            row[i] += dy[i];
    }
}

static void forward(const struct kernel_args *a)
{
    const struct view *table = &a->in[EMBEDDING_TABLE];
    struct work w = { .table = table,
                      .ids = a->in[EMBEDDING_IDS].data,
                      .rows = a->out[0].data,
                      .row_count = view_rows(&a->out[0]),
                      .width = view_row(table) };

    if (w.width == 0)
        return;
    w.tile_rows = ceil_div(TILE, w.width);
    parallel_for(ceil_div(w.row_count, w.tile_rows), forward_tile, &w);
}

static void backward(const struct kernel_args *a)
{
    const struct view *table = &a->out[0];
    struct work w = { .table = table,
                      .ids = a->in[EMBEDDING_GRAD_IDS].data,
                      .rows = a->in[EMBEDDING_GRAD_DY].data,
                      .row_count = view_rows(&a->in[EMBEDDING_GRAD_DY]),
                      .width = view_row(table),
                      .padding = (int64_t)a->node->attr[EMBEDDING_PADDING] };

    if (!a->add[0])
        parallel_for(ceil_div(view_count(table), TILE), zero_tile, &w);
    parallel_for(ceil_div(w.width, COLUMNS), backward_tile, &w);
}

static const char *refuses_forward(const struct node *n, const struct machine *m)
{
    return refuse_all_but_plain_f32(n, 1);
}

static const char *refuses_backward(const struct node *n, const struct machine *m)
{
    return refuse_other_than_f32(n, 1);
}

const struct kernel ISA(cpu_embedding)[] = {
    { "copy " ISA_TEXT, .refuses = refuses_forward, .run = forward },
    { "reference", .run = ref_embedding },
    { 0 },
};
const struct kernel ISA(cpu_embedding_grad)[] = {
    { "columns " ISA_TEXT, .refuses = refuses_backward, .run = backward },
    { "reference", .run = ref_embedding_grad },
    { 0 },
};
