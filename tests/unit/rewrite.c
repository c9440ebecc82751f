/* Recompute, fusion and dropping keep what a graph means; fusion stays away where a value is read elsewhere
 * or comes too late. */
#include "core/rewrite.h"

#include <setjmp.h>
#include <stdarg.h>

#include "base/err.h"
#include "core/autodiff.h"
#include "lib/ops.h"

#include <cmocka.h>

/* ---- Recompute ---- */

/* Two blocks: norm, linear, activation, linear, dropout, + x. */
static void blocks(struct ops_case *c)
{
    struct dim rows = ops_rows(c, 4);
    struct tensor *x = ops_value(c, SHAPE(rows, FIX(5)));
    struct tensor *place = ops_ints(c, DT_I64, SHAPE(rows), (const int64_t[]){ 5, 6, 7, 8 });
    struct tensor *y;

    c->b.training = true;
    for (int l = 0; l < 2; l++) {
        struct tensor *weight = ops_param(c, SHAPE(FIX(5))), *bias = ops_param(c, SHAPE(FIX(5)));
        layer_begin(&c->b, l, l ? "h.1" : "h.0");
        y = layernorm(&c->b, x, weight, bias, 1e-5);
        y = linear(&c->b, y, ops_param(c, SHAPE(FIX(5), FIX(6))), NULL, 1, false);
        y = activation(&c->b, y, ACT_GELU_ERF);
        y = linear(&c->b, y, ops_param(c, SHAPE(FIX(5), FIX(6))), NULL, 1, true);
        y = dropout(&c->b, y, place, 0.4);
        x = add(&c->b, x, y);
        layer_end(&c->b, l ? "h.1" : "h.0");
    }
    c->node = ops_weighted_sum(c, x)->producer;
}

static const struct ops_case_def blocks_def = { "blocks", blocks, NULL };

static void differentiated(struct ops_case *c, const struct ops_case_def *def)
{
    ops_case_init(c, &op_add, def, -1);
    assert_int_equal(autodiff(&c->b, c->node->out[0]), OK);
}

static void run(struct ops_case *c, struct ops_values *v)
{
    graph_check(c->graph);
    ops_values_init(v, c);
    ops_run(c, v, 0, c->graph->node_count);
}

static int64_t leaf_size(const struct ops_case *c, const struct tensor *t)
{
    int64_t count = 1;

    for (int d = 0; d < t->ndim; d++)
        count *= ops_group_of(c, t->dims[d]) ? ops_group_of(c, t->dims[d])->used : t->dims[d].size;
    return count;
}

static void same_gradients(struct ops_case *a, struct ops_values *x, struct ops_case *b, struct ops_values *y)
{
    for (int i = 0; i < a->leaves; i++) {
        const struct tensor *t = a->leaf[i].tensor, *u = b->leaf[i].tensor;
        for (int64_t e = 0; t->grad && e < leaf_size(a, t); e++)
            assert_true(ops_near(y->of[u->grad->id][e], x->of[t->grad->id][e], 1e-12));
    }
}

static int count(const struct graph *g, const struct op_def *op)
{
    int n = 0;

    for (size_t k = 0; k < g->node_count; k++)
        n += g->nodes[k]->op == op;
    return n;
}

static void recompute_keeps_gradients(void **state)
{
    struct ops_case plain, again;
    struct ops_values x, y;
    int clones = 0;

    differentiated(&plain, &blocks_def);
    differentiated(&again, &blocks_def);
    rewrite_recompute_cheap(again.graph);
    for (size_t k = 0; k < again.graph->node_count; k++) {
        const struct node *n = again.graph->nodes[k];
        clones += n->op->cheap && n->unit == UNIT_BACKWARD_INPUT && n->op != &op_dropout;
        for (int i = 0; i < n->nin && n->unit != UNIT_FORWARD; i++) {
            const struct node *p = n->in[i] ? n->in[i]->producer : NULL;
            if (p && p->op->cheap && p->unit == UNIT_FORWARD && n->in[i]->output == 0)
                fail_msg("%s reads output 0 of a forward %s", n->op->name, p->op->name);
        }
    }
    assert_int_equal(clones, 4); /* norms and activations; what dropout made is not read again */
    run(&plain, &x);
    run(&again, &y);
    same_gradients(&plain, &x, &again, &y);
    ops_values_release(&x);
    ops_values_release(&y);
    ops_case_release(&plain);
    ops_case_release(&again);
}

/* Of a layer's values only what comes in is read by its backward part; dropout drops the same entries again.
 */
static void recomputed_layers_keep_gradients(void **state)
{
    struct ops_case plain, again;
    struct ops_values x, y;

    differentiated(&plain, &blocks_def);
    differentiated(&again, &blocks_def);
    rewrite_recompute_layers(again.graph);
    assert_true(count(again.graph, &op_linear) > count(plain.graph, &op_linear));
    for (size_t k = 0; k < again.graph->node_count; k++) {
        const struct node *n = again.graph->nodes[k];
        for (int i = 0; i < n->nin && n->unit != UNIT_FORWARD; i++) {
            const struct node *p = n->in[i] ? n->in[i]->producer : NULL;
            if (p && p->unit == UNIT_FORWARD && p->layer == n->layer && n->layer >= 0 && n->layer < 2)
                fail_msg("%s of layer %d reads a forward %s", n->op->name, n->layer, p->op->name);
        }
    }
    run(&plain, &x);
    run(&again, &y);
    same_gradients(&plain, &x, &again, &y);
    ops_values_release(&x);
    ops_values_release(&y);
    ops_case_release(&plain);
    ops_case_release(&again);
}

/* All passes one after the other, as compiling does. */
static void together(void (*recompute)(struct graph *g))
{
    struct ops_case plain, all;
    struct ops_values x, y;
    struct tensor *keep[2] = { NULL };
    size_t before;

    differentiated(&plain, &blocks_def);
    differentiated(&all, &blocks_def);
    before = all.graph->node_count;
    keep[1] = all.node->out[0];
    recompute(all.graph);
    rewrite_fuse(all.graph, NULL);
    rewrite_drop_unused(all.graph, keep, 2);
    assert_true(recompute == rewrite_recompute_layers || all.graph->node_count < before);
    run(&plain, &x);
    run(&all, &y);
    same_gradients(&plain, &x, &all, &y);
    assert_true(ops_near(y.of[keep[1]->id][0], x.of[plain.node->out[0]->id][0], 1e-12));
    ops_values_release(&x);
    ops_values_release(&y);
    ops_case_release(&plain);
    ops_case_release(&all);
}

static void passes_together(void **state)
{
    together(rewrite_recompute_cheap);
    together(rewrite_recompute_layers);
}

/* ---- Fusion that must not be ---- */

static struct tensor *some_linear(struct ops_case *c, struct tensor *x)
{
    return linear(&c->b, x, ops_param(c, SHAPE(FIX(5), FIX(5))), NULL, 1, false);
}

static void late(struct ops_case *c) /* y = linear(x); z = 2 y later than y; y + z */
{
    struct tensor *x = ops_value(c, SHAPE(ops_rows(c, 3), FIX(5)));
    struct tensor *y = some_linear(c, x), *z = scale(&c->b, x, 2);

    c->node = ops_weighted_sum(c, add(&c->b, y, z))->producer;
}

static void read_again(struct ops_case *c) /* y is read by the sum and later */
{
    struct tensor *x = ops_value(c, SHAPE(ops_rows(c, 3), FIX(5)));
    struct tensor *y = some_linear(c, x), *z = add(&c->b, y, x);

    c->node = ops_weighted_sum(c, add(&c->b, y, z))->producer;
}

static void with_itself(struct ops_case *c) /* y + y */
{
    struct tensor *y = some_linear(c, ops_value(c, SHAPE(ops_rows(c, 3), FIX(5))));

    c->node = ops_weighted_sum(c, add(&c->b, y, y))->producer;
}

static void sum_read_before_norm(struct ops_case *c)
{
    struct dim rows = ops_rows(c, 3);
    struct tensor *x = ops_value(c, SHAPE(rows, FIX(5))), *y = ops_value(c, SHAPE(rows, FIX(5)));
    struct tensor *s = add(&c->b, x, y), *t = scale(&c->b, s, 3);

    s = layernorm(&c->b, s, ops_param(c, SHAPE(FIX(5))), NULL, 1e-5);
    c->node = ops_weighted_sum(c, add(&c->b, s, t))->producer;
}

static void loss_scaled(struct ops_case *c) /* the seed that reaches the head is not 1 */
{
    struct dim rows = ops_rows(c, 3), labels;
    struct tensor *x = ops_value(c, SHAPE(rows, FIX(5))), *w = ops_param(c, SHAPE(FIX(7), FIX(5)));
    struct tensor *at = ops_row_index(c, 2, (const int64_t[]){ 0, 2 }, &labels);
    struct tensor *wanted = ops_ints(c, DT_I32, SHAPE(labels), (const int64_t[]){ 6, 1 });
    struct tensor *loss = head_loss(&c->b, x, &(struct head){ .weight = w, .out_first = true }, at, wanted);

    c->node = scale(&c->b, loss, 0.5)->producer;
}

static void fusion_stays_away(void **state)
{
    static const struct {
        struct ops_case_def def;
        const struct op_def *kept;
    } graphs[] = {
        { { "late", late, NULL }, &op_add },
        { { "read_again", read_again, NULL }, &op_add },
        { { "with_itself", with_itself, NULL }, &op_add },
        { { "sum_read_before_norm", sum_read_before_norm, NULL }, &op_add },
        { { "loss_scaled", loss_scaled, NULL }, &op_head_stats },
    };

    for (size_t i = 0; i < sizeof(graphs) / sizeof(graphs[0]); i++) {
        struct ops_case plain, fused;
        struct ops_values x, y;
        differentiated(&plain, &graphs[i].def);
        differentiated(&fused, &graphs[i].def);
        rewrite_fuse(fused.graph, NULL);
        if (count(fused.graph, graphs[i].kept) == 0)
            fail_msg("%s: no %s is left", graphs[i].def.name, graphs[i].kept->name);
        run(&plain, &x);
        run(&fused, &y);
        same_gradients(&plain, &x, &fused, &y);
        ops_values_release(&x);
        ops_values_release(&y);
        ops_case_release(&plain);
        ops_case_release(&fused);
    }
}

/* ---- Dropping ---- */

static void drops_what_nobody_reads(void **state)
{
    struct graph *g = graph_create();
    struct builder b;
    const struct dim dims[] = { { 4, COUNT_FIXED } };
    struct tensor *x, *used, *state_t;
    struct node *unused, *writer;

    builder_init(&b, g);
    x = graph_input(&b, "x", DT_F32, 1, dims);
    state_t = graph_state(&b, "s", DT_F32, 1, dims);
    unused = scale(&b, x, 2)->producer;
    scale(&b, unused->out[0], 3); /* reads a value, but nobody reads it */
    used = add(&b, x, scale(&b, x, 4));
    writer = scale(&b, x, 5)->producer;
    node_write_into(writer, 0, state_t, false);
    rewrite_drop_unused(g, (struct tensor *const[]){ NULL, used }, 2);
    assert_int_equal(g->node_count, 3);
    assert_ptr_equal(g->nodes[0]->out[0], used->producer->in[1]);
    assert_ptr_equal(g->nodes[1], used->producer);
    assert_ptr_equal(g->nodes[2], writer);
    for (int k = 0; k < 3; k++)
        assert_int_equal(g->nodes[k]->id, k);
    graph_check(g);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recompute_keeps_gradients), cmocka_unit_test(recomputed_layers_keep_gradients),
        cmocka_unit_test(passes_together),           cmocka_unit_test(fusion_stays_away),
        cmocka_unit_test(drops_what_nobody_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
