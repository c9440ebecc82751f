/* The plan of an axis comes from the graph alone: blocks that no model file has come out divided as one would
 * by hand, whatever their parameters are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "core/autodiff.h"
#include "lib/ops.h"
#include "models/config.h"
#include "plan/shard.h"

#include <cmocka.h>

enum { ROWS = 512, WIDTH = 256, HEADS = 8, INNER = 1024, LAYERS = 3 };

/* Memory so fast that the norms need not be cut; a message is what costs. */
static const struct cluster fast_memory = {
    .flops = 150e9, .memory_bytes = 1e12, .link_bytes = 6e9, .message_seconds = 20e-6
};

struct built {
    struct graph *g;
    struct builder b;
    struct tensor *x, *loss;
    const char *const *names; /* of the parameters of a layer: plain or scrambled */
    struct dim rows, offsets;
    struct sequences sequences;
};

static const char *const plain[] = { "ln.w",   "ln.b", "up",    "up.b", "down",
                                     "down.b", "qkv",  "qkv.b", "out",  "out.b" };
static const char *const scrambled[] = {
    "down", "q", "zeta", "a", "up", "ln.b", "out.b", "x", "qkv", "ln.w"
};
enum { LN_W, LN_B, UP, UP_B, DOWN, DOWN_B, QKV, QKV_B, OUT, OUT_B };

static struct tensor *param(struct built *t, int name, int ndim, const int64_t dims[])
{
    struct param_info info = { .file_ndim = ndim, .trainable = true };

    memcpy(info.file_dims, dims, (size_t)ndim * sizeof(dims[0]));
    return graph_param(&t->b, t->names[name], &info, ndim, dims);
}

static void begin(struct built *t, const char *const names[])
{
    memset(t, 0, sizeof(*t));
    t->g = graph_create();
    t->names = names;
    builder_init(&t->b, t->g);
    t->rows = (struct dim){ ROWS, COUNT_ROWS };
    t->offsets = (struct dim){ 9, COUNT_OFFSETS };
    t->x = graph_input(&t->b, "x", DT_F32, 2, (struct dim[]){ t->rows, { WIDTH, COUNT_FIXED } });
    t->sequences.offsets = graph_input(&t->b, "offsets", DT_I32, 1, &t->offsets);
    t->sequences.positions = graph_input(&t->b, "order", DT_I32, 1, &t->rows);
}

static struct tensor *norm(struct built *t, struct tensor *x)
{
    return layernorm(&t->b, x, param(t, LN_W, 1, (int64_t[]){ WIDTH }),
                     param(t, LN_B, 1, (int64_t[]){ WIDTH }), 1e-5);
}

static struct tensor *mlp(struct built *t, struct tensor *x)
{
    struct tensor *w = param(t, UP, 2, (int64_t[]){ WIDTH, INNER });
    struct tensor *v = param(t, DOWN, 2, (int64_t[]){ INNER, WIDTH });

    x = linear(&t->b, x, w, param(t, UP_B, 1, (int64_t[]){ INNER }), 1, false);
    x = activation(&t->b, x, ACT_GELU_TANH);
    return linear(&t->b, x, v, param(t, DOWN_B, 1, (int64_t[]){ WIDTH }), 1, false);
}

static struct tensor *attend(struct built *t, struct tensor *x)
{
    const int64_t k = WIDTH / HEADS;
    struct tensor *w = param(t, QKV, 4, (int64_t[]){ WIDTH, 3, HEADS, k });
    struct tensor *v = param(t, OUT, 3, (int64_t[]){ HEADS, k, WIDTH });
    struct attention_options o = { .causal = true, .scale = 0.2, .k_part = 1, .v_part = 2 };

    x = linear(&t->b, x, w, param(t, QKV_B, 3, (int64_t[]){ 3, HEADS, k }), 1, false);
    x = attention(&t->b, &(struct attention_inputs){ x, x, x }, &t->sequences, &t->sequences, &o);
    return linear(&t->b, x, v, param(t, OUT_B, 1, (int64_t[]){ WIDTH }), 2, false);
}

/* Loss of every row against a table of its own; then the gradient, then the pass. */
static void finish(struct built *t, struct tensor *x, const struct mesh *mesh, const struct cluster *cluster)
{
    struct param_info info = { .file_ndim = 2, .file_dims = { 512, WIDTH }, .trainable = false };
    struct tensor *table = graph_param(&t->b, "table", &info, 2, info.file_dims);
    struct tensor *at = graph_input(&t->b, "at", DT_I32, 1, (struct dim[]){ { ROWS, COUNT_LABELS } });
    struct tensor *labels = graph_input(&t->b, "labels", DT_I32, 1, (struct dim[]){ { ROWS, COUNT_LABELS } });

    at->layout.on[AXIS_DP] = labels->layout.on[AXIS_DP] = t->x->layout.on[AXIS_DP];
    t->loss = head_loss(&t->b, x, &(struct head){ .weight = table, .out_first = true }, at, labels);
    assert_int_equal(autodiff(&t->b, t->loss), OK);
    assert_int_equal(shard_graph(t->g, &(struct shard_options){ mesh, cluster },
                                 (struct tensor * *const[]){ &t->loss }, 1),
                     OK);
}

/* One MLP behind a norm. */
static void build_mlp(struct built *t, const char *const names[], int ranks)
{
    begin(t, names);
    finish(t, mlp(t, norm(t, t->x)), &(struct mesh){ .size = { 1, ranks } }, &fast_memory);
}

/* x + attention(norm(x)) + mlp(norm(x)), as GPT-J and PaLM have it. */
static void build_parallel(struct built *t, const char *const names[], int ranks,
                           const struct cluster *cluster)
{
    struct tensor *x, *y;

    begin(t, names);
    x = t->x;
    for (int l = 0; l < LAYERS; l++) {
        char scope[32];
        snprintf(scope, sizeof(scope), names == plain ? "h.%d" : "%d.block.x", l);
        layer_begin(&t->b, l, scope);
        y = norm(t, x);
        x = add(&t->b, x, add(&t->b, attend(t, y), mlp(t, y)));
        layer_end(&t->b, scope);
    }
    finish(t, x, &(struct mesh){ .size = { 1, ranks } }, cluster);
}

static bool is_collective(const struct op_def *op)
{
    return op == &op_all_reduce || op == &op_all_gather || op == &op_reduce_scatter;
}

/* Collectives on values with rows of width WIDTH: what the blocks pay, not the head's vectors nor the update.
 */
static int moved(const struct built *t, const struct op_def *op, bool backward)
{
    int n = 0;

    for (size_t k = 0; k < t->g->node_count; k++) {
        const struct node *c = t->g->nodes[k];
        bool large = c->out[0] && c->out[0]->ndim >= 2 && c->out[0]->dims[0].count == COUNT_ROWS;
        n += (op ? c->op == op : is_collective(c->op)) && large && (c->unit != UNIT_FORWARD) == backward;
    }
    return n;
}

static struct placement on_tp(const struct built *t, const char *name)
{
    const struct tensor *p = graph_find(t->g, name, TENSOR_PARAM);

    assert_non_null(p);
    return p->layout.on[AXIS_TP];
}

static void assert_sharded(const struct built *t, const char *name, int dim)
{
    struct placement p = on_tp(t, name);

    if (p.kind != SHARD || p.dim != dim)
        fail_msg("%s: kind %d, dim %d; expected SHARD(%d)", name, p.kind, p.dim, dim);
}

static void print_graph(const struct built *t)
{
    struct str out;

    str_init(&out);
    graph_print(t->g, &out);
    fputs(out.data, stderr);
    str_release(&out);
}

static void expect_moved(const struct built *t, int forward, int backward)
{
    if (moved(t, NULL, false) == forward && moved(t, NULL, true) == backward)
        return;
    print_graph(t);
    fail_msg("%d collectives forward, %d backward; expected %d and %d", moved(t, NULL, false),
             moved(t, NULL, true), forward, backward);
}

static void two_linears_are_column_and_row_parallel(void **state)
{
    for (int ranks = 2; ranks <= 4; ranks += 2) {
        struct built t;
        build_mlp(&t, plain, ranks);
        assert_sharded(&t, "up", 1);
        assert_sharded(&t, "up.b", 0);
        assert_sharded(&t, "down", 0);
        assert_int_equal(on_tp(&t, "down.b").kind, REPLICATE);
        assert_int_equal(on_tp(&t, "ln.w").kind, REPLICATE);
        expect_moved(
            &t, 1, 1 + 1); /* and the head's gradient, which each rank makes of its part of the vocabulary */
        assert_int_equal(moved(&t, &op_all_reduce, false), 1);
        graph_free(t.g);
    }
}

static void parallel_blocks_are_reduced_once(void **state)
{
    struct built t;

    build_parallel(&t, plain, 2, &fast_memory);
    for (int l = 0; l < LAYERS; l++) {
        char name[32];
        snprintf(name, sizeof(name), "h.%d.qkv", l);
        assert_sharded(&t, name, 2);
        snprintf(name, sizeof(name), "h.%d.out", l);
        assert_sharded(&t, name, 0);
        snprintf(name, sizeof(name), "h.%d.up", l);
        assert_sharded(&t, name, 1);
        snprintf(name, sizeof(name), "h.%d.down", l);
        assert_sharded(&t, name, 0);
    }
    expect_moved(&t, LAYERS, LAYERS + 1);
    graph_free(t.g);
}

/* Where messages cost nothing but bytes do, and memory is slow, the norms are cut by rows: reduce_scatter and
 * all_gather move what one all_reduce does. */
static void rows_are_cut_where_that_pays(void **state)
{
    struct built t;

    build_parallel(
        &t, plain, 2,
        &(struct cluster){ .flops = 150e9, .memory_bytes = 1e9, .link_bytes = 6e9, .message_seconds = 1e-9 });
    assert_true(moved(&t, &op_reduce_scatter, false) >= LAYERS - 1);
    assert_true(moved(&t, &op_all_gather, false) >= LAYERS - 1);
    graph_free(t.g);
}

static void slow_links_leave_all_whole(void **state)
{
    struct built t;

    build_parallel(
        &t, plain, 2,
        &(struct cluster){ .flops = 1e15, .memory_bytes = 1e13, .link_bytes = 1e3, .message_seconds = 1e-6 });
    expect_moved(&t, 0, 0);
    assert_int_equal(on_tp(&t, "h.0.qkv").kind, REPLICATE);
    graph_free(t.g);
}

static void names_do_not_matter(void **state)
{
    struct built a, b;

    build_parallel(&a, plain, 4, &(struct cluster){ 0 });
    build_parallel(&b, scrambled, 4, &(struct cluster){ 0 });
    assert_int_equal(a.g->tensor_count, b.g->tensor_count);
    assert_int_equal(a.g->node_count, b.g->node_count);
    for (size_t i = 0; i < a.g->tensor_count; i++)
        for (int axis = 0; axis < PLACEMENT_AXES; axis++)
            assert_true(placement_equal(a.g->tensors[i]->layout.on[axis], b.g->tensors[i]->layout.on[axis]));
    for (size_t k = 0; k < a.g->node_count; k++)
        assert_ptr_equal(a.g->nodes[k]->op, b.g->nodes[k]->op);
    graph_free(a.g);
    graph_free(b.g);
}

/* On both axes: gradients of params are summed over dp once each, nothing else crosses dp. */
static void both_axes(void **state)
{
    struct built t;
    int sums = 0;

    begin(&t, plain);
    t.x->layout.on[AXIS_DP] = (struct placement){ .kind = SHARD, .dim = 0 };
    finish(&t, mlp(&t, norm(&t, t.x)), &(struct mesh){ .size = { 2, 2 } }, &(struct cluster){ 0 });
    for (size_t k = 0; k < t.g->node_count; k++)
        sums += is_collective(t.g->nodes[k]->op) && t.g->nodes[k]->attr[COLLECTIVE_AXIS] == AXIS_DP;
    assert_int_equal(sums, 0); /* sums over dp belong to the update, which is not in this graph */
    for (size_t i = 0; i < t.g->tensor_count; i++) {
        const struct tensor *p = t.g->tensors[i];
        if (p->kind == TENSOR_PARAM && p->grad)
            assert_int_equal(p->grad->layout.on[AXIS_DP].kind, PARTIAL);
    }
    assert_sharded(&t, "up", 1);
    graph_free(t.g);
}

/* GPT-2 itself, on ordinary machines: Megatron's cut with norms cut by rows, the vocabulary dealt out. */
static void gpt2_is_divided_as_by_hand(void **state)
{
    struct config c = { 0 };
    struct machine m = { .threads = 1 };
    struct built t = { 0 };
    struct compile_options o = {
        .task = TASK_TRAIN, .rows = 1024, .sequences = 8, .labels = 1024, .mesh = { .size = { 1, 2 } }
    };
    struct plan *plan;

    assert_int_equal(config_preset(&c, "gpt2"), OK);
    assert_int_equal(plan_compile(&c, &o, &m, &plan), OK);
    t.g = plan->graph;
    assert_sharded(&t, "transformer.wte.weight", 0);
    assert_sharded(&t, "transformer.h.7.attn.c_attn.weight", 2);
    assert_sharded(&t, "transformer.h.7.attn.c_attn.bias", 1);
    assert_sharded(&t, "transformer.h.7.attn.c_proj.weight", 0);
    assert_sharded(&t, "transformer.h.7.mlp.c_fc.weight", 1);
    assert_sharded(&t, "transformer.h.7.mlp.c_proj.weight", 0);
    assert_int_equal(on_tp(&t, "transformer.h.7.ln_1.weight").kind, REPLICATE);
    assert_int_equal(moved(&t, &op_all_reduce, false), 0);
    assert_int_equal(moved(&t, &op_all_gather, false),
                     2 * 12 + 1); /* before each linear that opens a block, and the head */
    assert_int_equal(moved(&t, &op_reduce_scatter, false),
                     2 * 12 + 1); /* after each that closes one, and the embedding */
    assert_int_equal(moved(&t, &op_all_reduce, true), 0);
    plan_free(plan);
    config_release(&c);
}

/* Fewer key/value heads than ranks: queries are dealt out all the same, keys are gathered, and their
 * gradients are sums over the ranks. No work is repeated for it: the projections are divided within heads. */
static void few_key_heads_are_gathered(void **state)
{
    struct config c = { 0 };
    struct machine m = { .threads = 1 };
    struct built t = { 0 };
    struct compile_options o = {
        .task = TASK_TRAIN, .rows = 1024, .sequences = 8, .labels = 1024, .mesh = { .size = { 1, 4 } }
    };
    struct plan *plan;
    int parts = 0;

    assert_int_equal(config_preset(&c, "huggyllama/llama-7b"), OK);
    assert_int_equal(config_override(&c, "num_hidden_layers=2,num_key_value_heads=2"), OK);
    assert_int_equal(plan_compile(&c, &o, &m, &plan), OK);
    t.g = plan->graph;
    assert_sharded(&t, "model.layers.1.self_attn.q_proj.weight", 1);
    assert_sharded(&t, "model.layers.1.self_attn.k_proj.weight", 2);
    assert_sharded(&t, "model.layers.1.self_attn.v_proj.weight", 2);
    assert_sharded(&t, "model.layers.1.self_attn.o_proj.weight", 1);
    for (size_t k = 0; k < t.g->node_count; k++) {
        const struct node *n = t.g->nodes[k];
        if (n->op != &op_attention_grad)
            continue;
        parts += n->out[ATTENTION_GRAD_DK]->layout.on[AXIS_TP].kind == PARTIAL;
        parts += n->out[ATTENTION_GRAD_DV]->layout.on[AXIS_TP].kind == PARTIAL;
    }
    assert_int_equal(parts, 2 * 2);
    plan_free(plan);
    config_release(&c);
}

/* What is cheapest for an evaluation does not count where a training plan has cut the parameters already. */
static void parameters_lie_as_in_the_plan_beside(void **state)
{
    struct config c = { 0 };
    struct machine m = { .threads = 1 };
    struct built t = { 0 };
    struct compile_options o = {
        .task = TASK_TRAIN, .rows = 1024, .sequences = 8, .labels = 1024, .mesh = { .size = { 1, 2 } }
    };
    struct plan *train, *eval;

    assert_int_equal(config_preset(&c, "gpt2"), OK);
    assert_int_equal(plan_compile(&c, &o, &m, &train), OK);
    o.task = TASK_EVAL;
    o.cluster = (struct cluster){ .link_bytes = 1e3, .message_seconds = 1 };
    for (int beside = 0; beside <= 1; beside++) {
        o.beside = beside ? train : NULL;
        assert_int_equal(plan_compile(&c, &o, &m, &eval), OK);
        t.g = eval->graph;
        if (!beside)
            assert_int_equal(on_tp(&t, "transformer.h.7.mlp.c_fc.weight").kind, REPLICATE);
        for (size_t i = 0; beside && i < train->graph->tensor_count; i++) {
            const struct tensor *there = train->graph->tensors[i];
            if (there->kind == TENSOR_PARAM)
                assert_true(placement_equal(on_tp(&t, there->name), there->layout.on[AXIS_TP]));
        }
        plan_free(eval);
    }
    plan_free(train);
    config_release(&c);
}

static void costs(void **state)
{
    struct axis_cost c = { .axis = AXIS_TP, .size = 4, .cluster = &(struct cluster){ 0 } };
    struct placement all = { .kind = REPLICATE }, s0 = { .kind = SHARD }, s1 = { .kind = SHARD, .dim = 1 };
    struct placement sum = { .kind = PARTIAL }, max = { .kind = PARTIAL, .reduction = REDUCE_MAX };
    struct placement held = { .kind = HELD };
    struct tensor t = { .ndim = 2, .dims = { { 1000 }, { 1000 } } };
    double reduce = redistribute_seconds(&c, &t, sum, all), scatter = redistribute_seconds(&c, &t, sum, s0);
    double gather = redistribute_seconds(&c, &t, s0, all);

    assert_true(redistribute_seconds(&c, &t, s1, s1) == 0);
    assert_true(reduce > 0 && scatter > 0 && gather > 0);
    assert_true(reduce >= 0.99 * (scatter + gather) && reduce <= 1.01 * (scatter + gather));
    assert_true(redistribute_seconds(&c, &t, all, s0) > 0 && redistribute_seconds(&c, &t, all, s0) < scatter);
    assert_true(redistribute_seconds(&c, &t, all, sum) < 0.01 * scatter);
    assert_true(redistribute_seconds(&c, &t, all, held) < 0.01 * scatter);
    assert_true(redistribute_seconds(&c, &t, s0, s1) > gather);
    assert_true(redistribute_seconds(&c, &t, all, max) > 1e30); /* there is no way */
    assert_true(redistribute_seconds(&c, &t, s0, sum) > 1e30);
    assert_true(redistribute_seconds(&c, &t, held, all) > 1e30);
}

/* 3 heads on 2 ranks are 2 and 1: a rank does two thirds of the work, not a half. */
static void padding_is_counted(void **state)
{
    struct built t;
    struct arena arena;
    struct shard_rules rules;
    struct placement have[4] = { PLACEMENT_FREE, PLACEMENT_FREE, PLACEMENT_FREE, PLACEMENT_FREE };
    struct axis_cost c = { .axis = AXIS_TP, .size = 2, .cluster = &fast_memory };
    struct tensor *w, *y;
    int found = 0;

    begin(&t, plain);
    w = param(&t, QKV, 3, (int64_t[]){ WIDTH, 3, 16 });
    y = linear(&t.b, t.x, w, NULL, 1, false);
    arena_init(&arena);
    node_rules(y->producer, have, &c, &arena, &rules);
    for (int r = 0; r < rules.count; r++) {
        struct placement p = rules.rule[r].in[LINEAR_WEIGHT];
        double work = p.kind != SHARD ? 1 : p.dim == 1 ? 2.0 / 3 : 0.5;
        assert_true(rules.rule[r].work == work);
        found += p.kind == SHARD;
    }
    assert_int_equal(found, 3);
    arena_release(&arena);
    graph_free(t.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_linears_are_column_and_row_parallel),
        cmocka_unit_test(parallel_blocks_are_reduced_once),
        cmocka_unit_test(rows_are_cut_where_that_pays),
        cmocka_unit_test(slow_links_leave_all_whole),
        cmocka_unit_test(names_do_not_matter),
        cmocka_unit_test(both_axes),
        cmocka_unit_test(gpt2_is_divided_as_by_hand),
        cmocka_unit_test(few_key_heads_are_gathered),
        cmocka_unit_test(parameters_lie_as_in_the_plan_beside),
        cmocka_unit_test(costs),
        cmocka_unit_test(padding_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
