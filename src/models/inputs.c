#include "models/config.h"

struct block { /* of rows, and what its inputs' names begin with */
    const char *prefix;
    int64_t capacity, sequences;
    enum count count;
};

static struct tensor *vector(struct builder *b, const struct block *block, const char *name, enum dtype dtype,
                             struct dim dim)
{
    return graph_input(b, arena_printf(&b->graph->arena, "%s%s", block->prefix, name), dtype, 1, &dim);
}

static void make_block(struct builder *b, const struct block *block, struct row_inputs *in)
{
    const struct dim row = { block->capacity, block->count }, first = { block->sequences + 1, COUNT_OFFSETS };

    in->ids = vector(b, block, "ids", DT_I32, row);
    in->positions = vector(b, block, "positions", DT_I32, row);
    in->sequences.positions = vector(b, block, "order", DT_I32, row);
    in->sequences.place = vector(b, block, "place", DT_I64, row);
    in->sequences.offsets = vector(b, block, "offsets", DT_I32, first);
    in->keys = in->sequences;
    in->keys.positions = vector(b, block, "key_order", DT_I32, row);
}

void model_inputs_make(struct builder *b, const struct config *c, const struct input_sizes *sizes,
                       struct model_inputs *in)
{
    const struct block rows = { "", sizes->rows, sizes->sequences, COUNT_ROWS };
    const struct block encoder = { "encoder_", sizes->encoder_rows, sizes->sequences, COUNT_ENCODER_ROWS };

    make_block(b, &rows, &in->rows);
    if (c->def->token_types)
        in->rows.token_types =
            vector(b, &rows, "token_types", DT_I32, (struct dim){ sizes->rows, COUNT_ROWS });
    if (c->def->longest)
        in->rows.longest = vector(b, &rows, "longest", DT_I32, (struct dim){ sizes->rows, COUNT_ROWS });
    if (config_has_encoder(c))
        make_block(b, &encoder, &in->encoder);
}
