/* Graphs and the builder: what sticks, what is refused, where shares lie, and that graph_check sees a broken
 * order. */
#include "core/graph.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "lib/child.h"
#include "ops/ops.h"

#include <cmocka.h>

struct fixture {
    struct graph *g;
    struct builder b;
    struct tensor *x, *w; /* (N, 4) counted, (4, 6) */
};

static void begin(struct fixture *f)
{
    const struct dim dims[] = { { 10, COUNT_ROWS }, { 4, COUNT_FIXED } };
    struct param_info info = { .file_ndim = 2, .file_dims = { 4, 6 }, .trainable = true };

    error_clear();
    f->g = graph_create();
    builder_init(&f->b, f->g);
    f->x = graph_input(&f->b, "x", DT_F32, 2, dims);
    f->w = graph_param(&f->b, "w", &info, 2, info.file_dims);
}

static struct node *scaled(struct fixture *f, struct tensor *x, double factor)
{
    return graph_node(&f->b, &op_scale, 1, &x, (struct attr_value[]){ { "factor", factor }, { 0 } });
}

static void builder_makes_what_the_card_says(void **state)
{
    struct fixture f;
    struct node *n;

    begin(&f);
    scope_begin(&f.b, "h.3");
    f.b.layer = 3;
    n = graph_node(&f.b, &op_linear, 2, (struct tensor *const[]){ f.x, f.w }, NULL);
    assert_int_equal(n->nin, 4);
    assert_null(n->in[LINEAR_BIAS]);
    assert_int_equal(n->out[LINEAR_Y]->dims[0].size, 10);
    assert_int_equal(n->out[LINEAR_Y]->dims[0].count, COUNT_ROWS);
    assert_int_equal(n->out[LINEAR_Y]->dims[1].size, 6);
    assert_null(n->out[LINEAR_PRE]);
    node_want(&f.b, n, LINEAR_PRE);
    assert_non_null(n->out[LINEAR_PRE]);
    assert_string_equal(n->scope, "h.3.");
    assert_int_equal(n->layer, 3);
    assert_true(n->attr[LINEAR_IN_NDIM] == 1);
    assert_ptr_equal(graph_find(f.g, "w", TENSOR_PARAM), f.w);
    assert_null(graph_find(f.g, "w", TENSOR_INPUT));
    scope_end(&f.b, "h.3");
    assert_string_equal(f.b.scope, "");
    graph_check(f.g);
    graph_free(f.g);
}

static void failures_stick(void **state)
{
    struct fixture f;
    struct param_info info = { .file_ndim = 2, .file_dims = { 5, 6 } };
    struct tensor *other, *y;

    begin(&f);
    other = graph_param(&f.b, "other", &info, 2, info.file_dims);
    y = linear(&f.b, f.x, other, NULL, 1, false);
    assert_null(y);
    assert_int_equal(builder_status(&f.b), ERR_CONFIG);
    assert_non_null(strstr(error_message(), "4 features"));
    assert_non_null(strstr(error_message(), "contracts 5"));
    assert_null(linear(&f.b, f.x, f.w, NULL, 1, false)); /* although this one could be */
    assert_null(add(&f.b, y, y));
    assert_null(graph_input(&f.b, "z", DT_F32, 0, NULL));
    assert_int_equal(f.g->node_count, 0);
    graph_free(f.g);
}

static void one_name_is_one_param(void **state)
{
    struct fixture f;
    struct param_info info = { .file_ndim = 2, .file_dims = { 4, 6 } };

    begin(&f);
    assert_ptr_equal(graph_param(&f.b, "w", &info, 2, info.file_dims), f.w);
    layer_begin(&f.b, 0, "h.0");
    assert_ptr_not_equal(graph_param(&f.b, "w", &info, 2, info.file_dims), f.w);
    assert_non_null(graph_find(f.g, "h.0.w", TENSOR_PARAM));
    layer_end(&f.b, "h.0");
    assert_int_equal(f.b.layer, 1);
    graph_free(f.g);
}

static void streams_follow_scopes(void **state)
{
    uint32_t streams[2][3];

    for (int run = 0; run < 2; run++) {
        struct fixture f;
        struct tensor *place;
        const struct dim rows[] = { { 10, COUNT_ROWS } };
        begin(&f);
        place = graph_input(&f.b, "place", DT_I64, 1, rows);
        for (int i = 0; i < 3; i++) {
            struct tensor *const in[] = { f.x, place };
            scope_begin(&f.b, i < 2 ? "a" : "b");
            if (run == 1)
                scaled(&f, f.x, 2); /* other nodes do not matter */
            streams[run][i] = graph_node(&f.b, &op_dropout, 2, in, NULL)->stream;
            scope_end(&f.b, i < 2 ? "a" : "b");
        }
        graph_free(f.g);
    }
    assert_memory_equal(streams[0], streams[1], sizeof(streams[0]));
    assert_true(streams[0][0] != streams[0][1] && streams[0][0] != streams[0][2] &&
                streams[0][1] != streams[0][2]);
}

static void shares(void **state)
{
    struct mesh mesh = { .size = { 2, 4 } };
    struct tensor t = { .ndim = 3, .dims = { { 10, COUNT_ROWS }, { 7, COUNT_FIXED }, { 5, COUNT_FIXED } } };

    t.layout.on[AXIS_DP] = (struct placement){ .kind = SHARD, .dim = 0 };
    t.layout.on[AXIS_TP] = (struct placement){ .kind = SHARD, .dim = 1 };
    assert_int_equal(tensor_local_dim(&t, 0, &mesh), 10); /* already that of one dp rank */
    assert_int_equal(tensor_local_dim(&t, 1, &mesh), 2);
    assert_int_equal(tensor_local_dim(&t, 2, &mesh), 5);
    assert_int_equal(tensor_first(&t, 0, &mesh, 7), 0);
    assert_int_equal(tensor_first(&t, 1, &mesh, 0), 0);
    assert_int_equal(tensor_first(&t, 1, &mesh, 3), 6);
    assert_int_equal(tensor_first(&t, 1, &mesh, 7), 6);
    t.layout.on[AXIS_DP] = (struct placement){ .kind = SHARD, .dim = 1 }; /* both axes: dp outside */
    assert_int_equal(tensor_local_dim(&t, 1, &mesh), 1);
    assert_int_equal(tensor_first(&t, 1, &mesh, 0), 0);
    assert_int_equal(tensor_first(&t, 1, &mesh, 3), 3);
    assert_int_equal(tensor_first(&t, 1, &mesh, 4), 4);
    assert_int_equal(tensor_first(&t, 1, &mesh, 6), 6);
    t.dtype = DT_F64;
    assert_int_equal(tensor_local_bytes(&t, &mesh), 10 * 1 * 5 * 8);
}

static void sizes_do_not_overflow(void **state)
{
    struct tensor t = { .ndim = 2, .dims = { { INT64_C(1) << 40 }, { INT64_C(1) << 30 } } };

    assert_true(tensor_count(&t) == INT64_MAX);
    assert_true(tensor_bytes(&t) == INT64_MAX);
    t.dims[1].size = INT64_C(1) << 22;
    assert_true(tensor_count(&t) == INT64_C(1) << 62);
    assert_true(tensor_bytes(&t) == INT64_MAX);
}

static void storage_goes_through_versions_and_aliases(void **state)
{
    struct fixture f;
    struct node *first, *second, *kept;

    begin(&f);
    first = scaled(&f, f.x, 2);
    second = scaled(&f, first->out[0], 3);
    node_write_into(second, 0, first->out[0], false);
    kept = graph_node(&f.b, &op_keep_first, 1, &second->out[0], NULL);
    assert_ptr_equal(tensor_storage(kept->out[0]), first->out[0]);
    assert_ptr_equal(tensor_storage(f.x), f.x);
    graph_check(f.g);
    graph_free(f.g);
}

static void printing(void **state)
{
    struct fixture f;
    struct str out;

    begin(&f);
    scope_begin(&f.b, "h.0");
    linear(&f.b, f.x, f.w, NULL, 1, false)->layout.on[AXIS_TP] =
        (struct placement){ .kind = SHARD, .dim = 1 };
    str_init(&out);
    graph_print(f.g, &out);
    assert_non_null(strstr(out.data, "h.0."));
    assert_non_null(strstr(out.data, "F32[N<=10,6] tp:S1 = linear(x, w, -, -)"));
    str_release(&out);
    graph_free(f.g);
}

/* ---- What graph_check and the builder abort on ---- */

static void swap_nodes(struct graph *g)
{
    struct node *n = g->nodes[0];

    g->nodes[0] = g->nodes[1];
    g->nodes[1] = n;
}

static int wrong_order(void)
{
    struct fixture f;

    begin(&f);
    scaled(&f, scaled(&f, f.x, 2)->out[0], 3);
    swap_nodes(f.g);
    graph_check(f.g);
    return 0;
}

static int read_after_overwrite(void)
{
    struct fixture f;
    struct node *a;

    begin(&f);
    a = scaled(&f, f.x, 2);
    node_write_into(scaled(&f, f.x, 3), 0, a->out[0], false);
    scaled(&f, a->out[0], 4);
    graph_check(f.g);
    return 0;
}

static int overwritten_twice(void)
{
    struct fixture f;
    struct node *a;

    begin(&f);
    a = scaled(&f, f.x, 2);
    node_write_into(scaled(&f, f.x, 3), 0, a->out[0], false);
    node_write_into(scaled(&f, f.x, 4), 0, a->out[0], false);
    graph_check(f.g);
    return 0;
}

static int node_twice(void)
{
    struct fixture f;

    begin(&f);
    graph_append(f.g, scaled(&f, f.x, 2));
    graph_check(f.g);
    return 0;
}

static int too_few_inputs(void)
{
    struct fixture f;

    begin(&f);
    graph_node(&f.b, &op_add, 1, &f.x, NULL);
    return 0;
}

static int too_many_inputs(void)
{
    struct fixture f;

    begin(&f);
    graph_node(&f.b, &op_scale, 2, (struct tensor *const[]){ f.x, f.x }, NULL);
    return 0;
}

static int unknown_attr(void)
{
    struct fixture f;

    begin(&f);
    graph_node(&f.b, &op_scale, 1, &f.x, (struct attr_value[]){ { "fraction", 2 }, { 0 } });
    return 0;
}

static int other_shape(void)
{
    struct fixture f;

    begin(&f);
    node_write_into(scaled(&f, f.x, 2), 0, f.w, false);
    return 0;
}

static int bad_split(void)
{
    struct fixture f;
    struct param_info info = { .file_ndim = 2, .file_dims = { 4, 6 } };

    begin(&f);
    graph_param(&f.b, "v", &info, 3, (int64_t[]){ 4, 3, 4 });
    return 0;
}

static int too_long_split(void)
{
    struct fixture f;
    struct param_info info = { .file_ndim = 2, .file_dims = { 4, 6 } };

    begin(&f);
    graph_param(&f.b, "v", &info, 3, (int64_t[]){ 4, 6, 2 });
    return 0;
}

static int other_scope(void)
{
    struct fixture f;

    begin(&f);
    scope_begin(&f.b, "h.0");
    scope_end(&f.b, "h.1");
    return 0;
}

static void mistakes_abort(void **state)
{
    static const struct {
        int (*run)(void);
        const char *says;
    } mistakes[] = {
        { wrong_order, "before it is made" },
        { read_after_overwrite, "was overwritten" },
        { overwritten_twice, "overwrites what was overwritten" },
        { node_twice, "does not belong to it" },
        { too_few_inputs, "input b is missing" },
        { too_many_inputs, "takes 1 inputs" },
        { unknown_attr, "no attr \"fraction\"" },
        { other_shape, "another shape" },
        { bad_split, "do not split dim 1" },
        { too_long_split, "do not split" },
        { other_scope, "does not end with" },
    };

    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct child c;
        child_run(&c, mistakes[i].run);
        if (c.signal != SIGABRT || !strstr(c.text, mistakes[i].says))
            fail_msg("mistake %d (%s): signal %d, text: %s", (int)i, mistakes[i].says, c.signal, c.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builder_makes_what_the_card_says),
        cmocka_unit_test(failures_stick),
        cmocka_unit_test(one_name_is_one_param),
        cmocka_unit_test(streams_follow_scopes),
        cmocka_unit_test(shares),
        cmocka_unit_test(sizes_do_not_overflow),
        cmocka_unit_test(storage_goes_through_versions_and_aliases),
        cmocka_unit_test(printing),
        cmocka_unit_test(mistakes_abort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
