/* Gradients of graphs of several nodes, against central differences; which nodes are emitted, and which are
 * not. */
#include "core/autodiff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "lib/ops.h"

#include <cmocka.h>

/* ---- Graphs ---- */

/* A table that is read as embedding and as head, and an x that is read three times. */
static void tied(struct ops_case *c)
{
    struct dim rows = ops_rows(c, 5), labels;
    struct tensor *table = ops_param(c, SHAPE(FIX(7), FIX(4))), *up = ops_param(c, SHAPE(FIX(4), FIX(6)));
    struct tensor *weight = ops_param(c, SHAPE(FIX(4))), *bias = ops_param(c, SHAPE(FIX(4)));
    struct tensor *down = ops_param(c, SHAPE(FIX(4), FIX(6)));
    struct tensor *ids = ops_ints(c, DT_I32, SHAPE(rows), (const int64_t[]){ 3, 6, 3, 0, 1 });
    struct tensor *at = ops_row_index(c, 3, (const int64_t[]){ 0, 2, 4 }, &labels);
    struct tensor *wanted = ops_ints(c, DT_I32, SHAPE(labels), (const int64_t[]){ 6, 0, 3 });
    struct tensor *x = embedding(&c->b, table, ids), *y;

    layer_begin(&c->b, 0, "h.0");
    y = layernorm(&c->b, x, weight, bias, 1e-5);
    y = activation(&c->b, linear(&c->b, y, up, NULL, 1, false), ACT_GELU_TANH);
    y = add(&c->b, add(&c->b, x, x), linear(&c->b, y, down, bias, 1, true));
    layer_end(&c->b, "h.0");
    y = head_loss(&c->b, y, &(struct head){ .weight = table, .out_first = true }, at, wanted);
    c->node = y->producer;
}

/* Self-attention out of one fused projection, with dropout, and a residual. */
static void attends(struct ops_case *c)
{
    struct dim rows = ops_rows(c, 5);
    struct tensor *x = ops_value(c, SHAPE(rows, FIX(4)));
    struct tensor *w = ops_param(c, SHAPE(FIX(4), FIX(3), FIX(2), FIX(3)));
    struct tensor *proj = ops_param(c, SHAPE(FIX(2), FIX(3), FIX(4)));
    struct sequences s = { .offsets = ops_offsets(c, rows, 3, (const int64_t[]){ 0, 3, 5 }),
                           .positions = ops_ints(c, DT_I32, SHAPE(rows), (const int64_t[]){ 0, 1, 2, 0, 1 }),
                           .place = ops_ints(c, DT_I64, SHAPE(rows), (const int64_t[]){ 8, 9, 10, 16, 17 }) };
    struct attention_options o = {
        .causal = true, .scale = 0.5, .dropout = 0.2, .q_part = 0, .k_part = 1, .v_part = 2
    };
    struct tensor *qkv = linear(&c->b, x, w, NULL, 1, false), *y;

    c->b.training = true;
    y = attention(&c->b, &(struct attention_inputs){ qkv, qkv, qkv }, &s, &s, &o);
    y = dropout(&c->b, linear(&c->b, y, proj, NULL, 2, false), s.place, 0.3);
    c->node = add(&c->b, x, y)->producer;
}

static void check_gradient(void **state)
{
    static const struct ops_case_def defs[] = { { "tied", tied, NULL }, { "attends", attends, NULL } };

    for (size_t i = 0; i < sizeof(defs) / sizeof(defs[0]); i++)
        ops_check_gradient(&op_add, NULL, &defs[i]);
}

/* ---- Nodes ---- */

static int count(const struct graph *g, const struct op_def *op, enum unit unit)
{
    int n = 0;

    for (size_t k = 0; k < g->node_count; k++)
        n += g->nodes[k]->op == op && g->nodes[k]->unit == unit;
    return n;
}

static void differentiate_tied(struct ops_case *c, int only_trainable)
{
    static const struct ops_case_def def = { "tied", tied, NULL };

    ops_case_init(c, &op_add, &def, only_trainable);
    c->b.layer = 5;
    assert_int_equal(autodiff(&c->b, c->node->out[0]), OK);
    graph_check(c->graph);
    assert_int_equal(c->b.unit, UNIT_FORWARD);
    assert_int_equal(c->b.layer, 5);
    assert_string_equal(c->b.scope, "case.");
}

static void one_node_for_input_one_for_weight(void **state)
{
    struct ops_case c;
    const struct node *fill, *w = NULL;

    differentiate_tied(&c, -1);
    assert_int_equal(count(c.graph, &op_linear_grad_input, UNIT_BACKWARD_INPUT), 2);
    assert_int_equal(count(c.graph, &op_linear_grad_weight, UNIT_BACKWARD_WEIGHT), 2);
    assert_int_equal(count(c.graph, &op_layernorm_grad, UNIT_BACKWARD_INPUT), 1);
    assert_int_equal(count(c.graph, &op_embedding_grad, UNIT_BACKWARD_WEIGHT), 1);
    for (size_t k = 0; k < c.graph->node_count; k++)
        if (c.graph->nodes[k]->op == &op_linear_grad_weight)
            w = c.graph->nodes[k];
    assert_int_equal(w->layer, 0);
    assert_string_equal(w->scope, "case.h.0.");
    fill = c.graph->nodes[c.node->id + 1];
    assert_ptr_equal(fill->op, &op_fill);
    assert_true(fill->attr[FILL_VALUE] == 1);
    ops_case_release(&c);
}

/* Two writers add to one accumulator: a chain of versions that ends in param->grad. */
static void tied_gradients_gather(void **state)
{
    struct ops_case c;
    const struct tensor *table, *newest, *first;

    differentiate_tied(&c, -1);
    table = c.leaf[0].tensor;
    newest = table->grad;
    assert_ptr_equal(newest->producer->op, &op_embedding_grad);
    first = newest->into;
    assert_ptr_equal(first->producer->op, &op_head_grad);
    assert_true(newest->producer->accumulate[0] && first->producer->accumulate[HEAD_GRAD_DWEIGHT]);
    assert_int_equal(first->into->kind, TENSOR_GRAD);
    assert_null(first->into->producer);
    assert_ptr_equal(first->into->param, table->param);
    assert_string_equal(first->into->name, table->name);
    ops_case_release(&c);
}

/* leaf 0: the table; 1: up; 2, 3: the norm's weight and bias (also the bias of down); 4: down */
static void frozen_params_cost_nothing(void **state)
{
    struct ops_case c;

    differentiate_tied(&c, 4);
    assert_int_equal(count(c.graph, &op_linear_grad_weight, UNIT_BACKWARD_WEIGHT), 1);
    assert_int_equal(count(c.graph, &op_linear_grad_input, UNIT_BACKWARD_INPUT),
                     0); /* nothing below is trained */
    assert_int_equal(count(c.graph, &op_layernorm_grad, UNIT_BACKWARD_INPUT), 0);
    assert_int_equal(count(c.graph, &op_embedding_grad, UNIT_BACKWARD_WEIGHT), 0);
    for (int i = 0; i < 4; i++)
        assert_null(c.leaf[i].tensor->grad);
    assert_non_null(c.leaf[4].tensor->grad);
    ops_case_release(&c);

    differentiate_tied(&c, 1);
    assert_int_equal(count(c.graph, &op_linear_grad_weight, UNIT_BACKWARD_WEIGHT), 1);
    assert_int_equal(count(c.graph, &op_linear_grad_input, UNIT_BACKWARD_INPUT), 1);
    assert_int_equal(count(c.graph, &op_layernorm_grad, UNIT_BACKWARD_INPUT), 0);
    ops_case_release(&c);
}

static void nothing_is_trained(void **state)
{
    struct ops_case c;

    differentiate_tied(&c, 100);
    assert_int_equal(c.graph->node_count, (size_t)c.node->id + 2); /* the seed alone */
    ops_case_release(&c);
}

static void no_gradient(struct ops_case *c)
{
    struct tensor *x = ops_param(c, SHAPE(FIX(3)));

    c->node = sum_squares(&c->b, 1, &x)->producer;
}

static void ops_without_gradient_are_named(void **state)
{
    static const struct ops_case_def def = { "no_gradient", no_gradient, NULL };
    struct ops_case c;

    error_clear();
    ops_case_init(&c, &op_add, &def, -1);
    assert_int_equal(autodiff(&c.b, c.node->out[0]), ERR_CONFIG);
    assert_non_null(strstr(error_message(), "sum_squares"));
    assert_int_equal(builder_status(&c.b), OK);
    ops_case_release(&c);

    error_clear();
    ops_case_init(&c, &op_add, &def, 100); /* not on the way to anything trained: fine */
    assert_int_equal(autodiff(&c.b, c.node->out[0]), OK);
    ops_case_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_gradient),        cmocka_unit_test(one_node_for_input_one_for_weight),
        cmocka_unit_test(tied_gradients_gather), cmocka_unit_test(frozen_params_cost_nothing),
        cmocka_unit_test(nothing_is_trained),    cmocka_unit_test(ops_without_gradient_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
