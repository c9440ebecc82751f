#include "lib/ops.h"

enum attention_form { ALL_IN_ONE, SEPARATE, KEYS_WITH_VALUES };

struct attention_setup {
    enum attention_form form;
    int64_t heads, groups, width; /* H, G, K */
    int64_t sequences;
    const int64_t *q_lengths, *kv_lengths; /* kv NULL: self-attention */
    const int64_t *kv_positions;           /* NULL: from 0 in each sequence */
    double causal, window, dropout;
    bool spread;                   /* of keys only every third position is there */
    int64_t buckets, max_distance; /* 0: no table of relative positions */
    enum blank_rows blank;
};

#define LENGTHS(...) ((const int64_t[]){ __VA_ARGS__ })

/* The forms, by name; "hole" has a masked key and rows that see no key at all. */
static const struct attention_setup plain = { ALL_IN_ONE, 3, 3, 4, 3, LENGTHS(4, 1, 3), .causal = 1 };
static const struct attention_setup both_ways = { ALL_IN_ONE, 2, 2, 3, 2, LENGTHS(3, 4) };
static const struct attention_setup grouped = { SEPARATE, 4, 2, 3, 2, LENGTHS(4, 3), .causal = 1 };
static const struct attention_setup grouped_4 = { KEYS_WITH_VALUES, 8, 4, 2, 2, LENGTHS(3, 2), .causal = 1 };
/* Key/value heads that no 2 or 4 ranks share evenly. */
static const struct attention_setup one_group = { SEPARATE,       4, 1, 3, 2, LENGTHS(4, 3), .causal = 1,
                                                  .dropout = 0.25 };
static const struct attention_setup three_groups = {
    KEYS_WITH_VALUES, 6, 3, 2, 2, LENGTHS(3, 4), .causal = 1
};
static const struct attention_setup few_groups = { SEPARATE,         8, 2, 2, 2, LENGTHS(3, 2), .buckets = 6,
                                                   .max_distance = 6 };
static const struct attention_setup window = {
    SEPARATE, 2, 2, 3, 2, LENGTHS(6, 3), .causal = 1, .window = 3
};
static const struct attention_setup dropped = { ALL_IN_ONE,     3, 3, 2, 2, LENGTHS(5, 4), .causal = 1,
                                                .dropout = 0.25 };
static const struct attention_setup hole = {
    ALL_IN_ONE, 2, 2, 3, 3, LENGTHS(4, 3, 2), .kv_positions = LENGTHS(-1, -1, 2, 3, 0, -1, 2, -1, -1),
    .causal = 1
};
static const struct attention_setup blank_one = { SEPARATE,
                                                  2,
                                                  2,
                                                  3,
                                                  3,
                                                  LENGTHS(4, 3, 2),
                                                  .kv_positions = LENGTHS(-1, -1, 2, 3, 0, -1, 2, -1, -1),
                                                  .causal = 1,
                                                  .buckets = 4,
                                                  .max_distance = 3,
                                                  .blank = BLANK_ONE_MASK };
static const struct attention_setup blank_both_ways = { KEYS_WITH_VALUES,
                                                        4,
                                                        2,
                                                        3,
                                                        2,
                                                        LENGTHS(3, 2),
                                                        .kv_lengths = LENGTHS(3, 4),
                                                        .kv_positions = LENGTHS(-1, -1, -1, -1, 1, 2, -1),
                                                        .blank = BLANK_ONE_MASK };
static const struct attention_setup blank_two = { ALL_IN_ONE,
                                                  2,
                                                  2,
                                                  3,
                                                  3,
                                                  LENGTHS(4, 7, 2),
                                                  .kv_positions =
                                                      LENGTHS(-1, -1, 2, 3, 0, 1, -1, -1, -1, 5, -1, -1, -1),
                                                  .causal = 1,
                                                  .blank = BLANK_TWO_MASKS };
static const struct attention_setup blank_window = { ALL_IN_ONE,
                                                     2,
                                                     2,
                                                     3,
                                                     3,
                                                     LENGTHS(4, 7, 2),
                                                     .kv_positions = LENGTHS(-1, -1, 2, 3, 0, 1, -1, -1, -1,
                                                                             5, -1, -1, -1),
                                                     .causal = 1,
                                                     .window = 2,
                                                     .blank = BLANK_TWO_MASKS };
static const struct attention_setup across = { KEYS_WITH_VALUES,           2, 2, 3, 2, LENGTHS(3, 2),
                                               .kv_lengths = LENGTHS(2, 5) };
static const struct attention_setup empty = { ALL_IN_ONE, 2, 2, 3, 0, LENGTHS(0), .causal = 1 };
static const struct attention_setup large = { ALL_IN_ONE,    3, 3, 37, 3, LENGTHS(150, 1, 83), .causal = 1,
                                              .dropout = 0.1 };
static const struct attention_setup large_grouped = { KEYS_WITH_VALUES, 6,           2,           64, 2,
                                                      LENGTHS(90, 70),  .causal = 1, .window = 33 };

static const struct attention_setup relative = {
    ALL_IN_ONE, 3, 3, 2, 2, LENGTHS(7, 4), .causal = 1, .buckets = 6, .max_distance = 6
};
static const struct attention_setup relative_both_ways = {
    SEPARATE, 2, 2, 3, 2, LENGTHS(9, 2), .dropout = 0.25, .buckets = 8, .max_distance = 5
};
static const struct attention_setup relative_hole = { ALL_IN_ONE,
                                                      3,
                                                      3,
                                                      2,
                                                      2,
                                                      LENGTHS(5, 3),
                                                      .kv_positions = LENGTHS(0, -1, 2, 6, 4, 2, 1, -1),
                                                      .buckets = 4,
                                                      .max_distance = 3 };
static const struct attention_setup relative_empty = {
    ALL_IN_ONE, 2, 2, 3, 0, LENGTHS(0), .causal = 1, .buckets = 4, .max_distance = 9
};
static const struct attention_setup relative_large = {
    ALL_IN_ONE, 3, 3, 37, 3, LENGTHS(150, 1, 83), .buckets = 32, .max_distance = 128, .dropout = 0.1
};
static const struct attention_setup relative_large_causal = {
    KEYS_WITH_VALUES,  6, 2, 64, 2, LENGTHS(190, 70), .causal = 1, .window = 99, .buckets = 20,
    .max_distance = 40
};

/* Of query or key rows; spread keys are at every third position. */
static struct tensor *attention_positions(struct ops_case *c, struct dim rows,
                                          const struct attention_setup *a, bool keys)
{
    const int64_t *lengths = keys && a->kv_lengths ? a->kv_lengths : a->q_lengths;
    int64_t values[1024], n = 0;

    for (int64_t s = 0; s < a->sequences; s++)
        for (int64_t p = 0; p < lengths[s]; p++)
            values[n++] = keys && a->spread ? 3 * p : p;
    return ops_ints(c, DT_I32, SHAPE(rows), values);
}

static struct tensor *attention_offsets(struct ops_case *c, struct dim rows, int64_t count,
                                        const int64_t lengths[])
{
    int64_t values[64] = { 0 };

    for (int64_t s = 0; s < count; s++)
        values[s + 1] = values[s] + lengths[s];
    return ops_offsets(c, rows, count + 1, values);
}

static struct dim attention_rows(struct ops_case *c, int64_t count, const int64_t lengths[])
{
    int64_t rows = 0;

    for (int64_t s = 0; s < count; s++)
        rows += lengths[s];
    return ops_rows(c, rows);
}

static void attention_rows_inputs(struct ops_case *c, const struct attention_setup *a, struct tensor *in[],
                                  struct dim *rows, struct dim *keys)
{
    const int64_t *lengths = a->kv_lengths ? a->kv_lengths : a->q_lengths;
    int64_t place[1024];

    *rows = *keys = attention_rows(c, a->sequences, a->q_lengths);
    if (a->kv_lengths)
        *keys = attention_rows(c, a->sequences, a->kv_lengths);
    for (int64_t i = 0; i < rows->size; i++)
        place[i] = 5000 + i * 3;
    in[ATTENTION_Q_OFFSETS] = in[ATTENTION_KV_OFFSETS] =
        attention_offsets(c, *rows, a->sequences, a->q_lengths);
    if (a->kv_lengths)
        in[ATTENTION_KV_OFFSETS] = attention_offsets(c, *keys, a->sequences, lengths);
    in[ATTENTION_Q_POSITIONS] = attention_positions(c, *rows, a, false);
    in[ATTENTION_KV_POSITIONS] = a->kv_positions ? ops_ints(c, DT_I32, SHAPE(*keys), a->kv_positions)
                                                 : attention_positions(c, *keys, a, true);
    in[ATTENTION_PLACE] = a->dropout > 0 ? ops_ints(c, DT_I64, SHAPE(*rows), place) : NULL;
}

/* The nine inputs, and the node of attention. */
static struct node *attention_node(struct ops_case *c, const struct attention_setup *a, struct tensor *in[])
{
    bool one = a->form == ALL_IN_ONE, two = a->form == KEYS_WITH_VALUES;
    struct dim rows, keys;

    c->large = a->q_lengths[0] > 80;
    c->no_gradient = a->blank != BLANK_ZERO; /* scores that are lost have one all the same */
    attention_rows_inputs(c, a, in, &rows, &keys);
    in[ATTENTION_Q] = ops_value(c, SHAPE(rows, FIX(one ? 3 : 1), FIX(a->heads), FIX(a->width)));
    in[ATTENTION_K] =
        one ? in[ATTENTION_Q] : ops_value(c, SHAPE(keys, FIX(two ? 2 : 1), FIX(a->groups), FIX(a->width)));
    in[ATTENTION_V] =
        one || two ? in[ATTENTION_K] : ops_value(c, SHAPE(keys, FIX(1), FIX(a->groups), FIX(a->width)));
    in[ATTENTION_TABLE] = a->buckets ? ops_param(c, SHAPE(FIX(a->buckets), FIX(a->heads))) : NULL;
    return graph_node(&c->b, &op_attention, ATTENTION_TABLE + 1, in,
                      ATTRS({ "causal", a->causal }, { "scale", 0.6 }, { "window", a->window },
                            { "dropout", a->dropout }, { "k_part", one ? 1 : 0 },
                            { "v_part", one   ? 2
                                        : two ? 1
                                              : 0 },
                            { "max_distance", (double)a->max_distance }, { "bidirectional", !a->causal },
                            { "blank", a->blank }));
}

static void build(struct ops_case *c)
{
    struct tensor *in[ATTENTION_GRAD_DOUT + 1];
    struct node *forward = attention_node(c, c->with, in), *n;
    const struct dim *out = forward->out[ATTENTION_OUT]->dims;
    struct attr_value attrs[MAX_ATTRS + 1] = { 0 };

    if (c->op == &op_attention) {
        ops_under_test(c, forward, 0);
        return;
    }
    in[ATTENTION_GRAD_OUT] = forward->out[ATTENTION_OUT];
    in[ATTENTION_GRAD_LSE] = forward->out[ATTENTION_LSE];
    in[ATTENTION_GRAD_DOUT] = ops_value(c, SHAPE(out[0], out[1], out[2]));
    for (int i = 0; op_attention.attrs[i].name; i++)
        attrs[i] = (struct attr_value){ op_attention.attrs[i].name, forward->attr[i] };
    n = graph_node(&c->b, &op_attention_grad, ATTENTION_GRAD_DOUT + 1, in, attrs);
    n->stream = forward->stream;
    ops_under_test(c, n,
                   (in[ATTENTION_K] != in[ATTENTION_Q]) << ATTENTION_GRAD_DK |
                       (in[ATTENTION_V] != in[ATTENTION_Q]) << ATTENTION_GRAD_DV |
                       (in[ATTENTION_TABLE] != NULL) << ATTENTION_GRAD_DTABLE);
    if (in[ATTENTION_TABLE])
        ops_accumulate(c, ATTENTION_GRAD_DTABLE);
}

static const struct ops_case_def cases[] = {
    { "plain", build, &plain },
    { "both_ways", build, &both_ways },
    { "grouped", build, &grouped },
    { "grouped_4", build, &grouped_4 },
    { "one_group", build, &one_group },
    { "three_groups", build, &three_groups },
    { "few_groups", build, &few_groups },
    { "window", build, &window },
    { "dropped", build, &dropped },
    { "hole", build, &hole },
    { "blank_one", build, &blank_one },
    { "blank_both_ways", build, &blank_both_ways },
    { "blank_two", build, &blank_two },
    { "blank_window", build, &blank_window },
    { "across", build, &across },
    { "empty", build, &empty },
    { "large", build, &large },
    { "large_grouped", build, &large_grouped },
    { "relative", build, &relative },
    { "relative_both_ways", build, &relative_both_ways },
    { "relative_hole", build, &relative_hole },
    { "relative_empty", build, &relative_empty },
    { "relative_large", build, &relative_large },
    { "relative_large_causal", build, &relative_large_causal },
    { 0 },
};

const struct op_cases cases_attention = { .tolerance = 5e-5, .matmul = true, .cases = cases };
const struct op_cases cases_attention_grad = { .tolerance = 5e-5, .matmul = true, .cases = cases };
