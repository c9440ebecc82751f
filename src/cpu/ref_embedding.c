/* Reference of embedding and its gradient. */
#include "cpu/ref.h"
#include "ops/ops.h"

/* Row of this rank's share that holds id, or -1. */
static int64_t share_row(const struct view *table, int32_t id)
{
    int64_t row = id - table->first[0];
    return row >= 0 && row < table->dim[0] && id < table->whole[0] ? row : -1;
}

void ref_embedding(const struct kernel_args *a)
{
    const struct view *table = &a->in[EMBEDDING_TABLE];
    const int32_t *ids = a->in[EMBEDDING_IDS].data;
    int64_t width = view_row(table);

    for (int64_t n = 0; n < a->out[0].dim[0]; n++) {
        int64_t row = share_row(table, ids[n]);
        for (int64_t f = 0; f < width; f++)
            ref_put(a, 0, n * width + f, row < 0 ? 0 : ref_load(table, row * width + f));
    }
}

/* The first row with an id adds up all of them. */
void ref_embedding_grad(const struct kernel_args *a)
{
    const struct view *dy = &a->in[EMBEDDING_GRAD_DY], *table = &a->out[0];
    const int32_t *ids = a->in[EMBEDDING_GRAD_IDS].data;
    int64_t rows = dy->dim[0], width = view_row(table);
    int64_t padding = (int64_t)a->node->attr[EMBEDDING_PADDING];

    if (!a->add[0])
        for (int64_t i = 0; i < view_count(table); i++)
            ref_store(table, i, 0);
    for (int64_t n = 0; n < rows; n++) {
        int64_t row = share_row(table, ids[n]), before = 0;
        while (ids[before] != ids[n])
            before++;
        if (row < 0 || before < n || ids[n] == padding)
            continue;
        for (int64_t f = 0; f < width; f++) {
            double sum = ref_load(table, row * width + f);
            for (int64_t m = n; m < rows; m++)
                sum += ids[m] == ids[n] ? ref_load(dy, m * width + f) : 0;
            ref_store(table, row * width + f, sum);
        }
    }
}
