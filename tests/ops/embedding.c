#include "lib/ops.h"

/* ---- embedding ---- */

struct embedding_form {
    int64_t rows;
    const int64_t *ids;
    const struct dim *table;
    int64_t padding; /* its row gets no gradient; 0: none */
};

static void build_embedding(struct ops_case *c)
{
    const struct embedding_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows);
    struct tensor *in[] = { ops_param(c, f->table), ops_ints(c, DT_I32, SHAPE(rows), f->ids) };
    double padding = f->padding > 0 ? (double)f->padding : -1;

    c->dry = true;                   /* rows that nobody asks for are not read */
    c->no_gradient = f->padding > 0; /* on purpose another one than the function has */
    ops_under_test(c, graph_node(&c->b, &op_embedding, 2, in, ATTRS({ "padding", padding })), 0);
}

/* Chosen rows of a value */
static void gather_rows(struct ops_case *c)
{
    const struct embedding_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows), chosen;
    struct tensor *in[2];

    in[EMBEDDING_TABLE] = ops_value(c, SHAPE(rows, FIX(3)));
    in[EMBEDDING_IDS] = ops_row_index(c, 5, f->ids, &chosen);
    c->dry = true;
    ops_under_test(c, graph_node(&c->b, &op_embedding, 2, in, NULL), 0);
}

static void large_embedding(struct ops_case *c)
{
    int64_t ids[301];

    for (int i = 0; i < 301; i++)
        ids[i] = i * 17 % 43;
    c->large = true;
    c->with = &(struct embedding_form){ 301, ids, SHAPE(FIX(43), FIX(77)) };
    build_embedding(c);
}

static const struct ops_case_def list_embedding[] = {
    { "plain", build_embedding,
      &(struct embedding_form){ 6, (const int64_t[]){ 3, 0, 6, 3, 5, 2 }, SHAPE(FIX(7), FIX(5)) } },
    { "split", build_embedding,
      &(struct embedding_form){ 5, (const int64_t[]){ 4, 4, 0, 1, 3 }, SHAPE(FIX(5), FIX(3), FIX(2)) } },
    { "padding", build_embedding,
      &(struct embedding_form){ 6, (const int64_t[]){ 3, 0, 6, 3, 5, 2 }, SHAPE(FIX(7), FIX(5)), 3 } },
    { "gather", gather_rows, &(struct embedding_form){ 7, (const int64_t[]){ 0, 3, 4, 4, 6 } } },
    { "empty", build_embedding, &(struct embedding_form){ 0, NULL, SHAPE(FIX(3), FIX(2)) } },
    { "large", large_embedding, NULL },
    { 0 },
};

const struct op_cases cases_embedding = { .cases = list_embedding };

/* ---- embedding_grad ---- */

struct embedding_grad_form {
    int64_t rows;
    const int64_t *ids;
    const struct dim *table;
    bool adds;
    int64_t padding; /* 0: none */
};

static void build_embedding_grad(struct ops_case *c)
{
    const struct embedding_grad_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows), dy[MAX_DIMS + 1] = { rows };
    double padding = f->padding > 0 ? (double)f->padding : -1;
    struct tensor *in[3];

    for (int d = 1; d == 1 || dy[d - 1].size >= 0; d++)
        dy[d] = f->table[d];
    in[EMBEDDING_GRAD_DY] = ops_value(c, dy);
    in[EMBEDDING_GRAD_IDS] = ops_ints(c, DT_I32, SHAPE(rows), f->ids);
    in[EMBEDDING_GRAD_LIKE] = ops_param(c, f->table);
    c->dry = true; /* rows of the table that got nothing are not touched */
    ops_under_test(c, graph_node(&c->b, &op_embedding_grad, 3, in, ATTRS({ "padding", padding })), 0);
    if (f->adds)
        ops_accumulate(c, 0);
}

/* Of chosen rows of a value */
static void scatter_rows(struct ops_case *c)
{
    const struct embedding_grad_form *f = c->with;
    struct dim rows = ops_rows(c, f->rows), chosen;
    struct tensor *in[3];

    in[EMBEDDING_GRAD_LIKE] = ops_value(c, SHAPE(rows, FIX(3)));
    in[EMBEDDING_GRAD_IDS] = ops_row_index(c, 5, f->ids, &chosen);
    in[EMBEDDING_GRAD_DY] = ops_value(c, SHAPE(chosen, FIX(3)));
    c->dry = true;
    ops_under_test(c, graph_node(&c->b, &op_embedding_grad, 3, in, NULL), 0);
}

static void large_embedding_grad(struct ops_case *c)
{
    int64_t ids[1201];

    for (int i = 0; i < 1201; i++)
        ids[i] = i * i % 37;
    c->large = true;
    c->with = &(struct embedding_grad_form){ 1201, ids, SHAPE(FIX(41), FIX(67)), .padding = 7 };
    build_embedding_grad(c);
}

static const struct ops_case_def list_embedding_grad[] = {
    { "plain", build_embedding_grad,
      &(struct embedding_grad_form){ 6, (const int64_t[]){ 3, 0, 3, 6, 5, 3 }, SHAPE(FIX(7), FIX(5)) } },
    { "adds", build_embedding_grad,
      &(struct embedding_grad_form){ 5, (const int64_t[]){ 4, 4, 0, 1, 4 }, SHAPE(FIX(5), FIX(3), FIX(2)),
                                     true } },
    { "padding", build_embedding_grad,
      &(struct embedding_grad_form){ 6, (const int64_t[]){ 3, 0, 3, 6, 5, 3 }, SHAPE(FIX(7), FIX(5)),
                                     .padding = 3 } },
    { "gather", scatter_rows, &(struct embedding_grad_form){ 7, (const int64_t[]){ 0, 3, 4, 4, 6 } } },
    { "empty", build_embedding_grad, &(struct embedding_grad_form){ 0, NULL, SHAPE(FIX(3), FIX(2)) } },
    { "large", large_embedding_grad, NULL },
    { 0 },
};

const struct op_cases cases_embedding_grad = { .tolerance = 2e-5, .cases = list_embedding_grad };
