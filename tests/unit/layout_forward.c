/* Layouts of work without an optimizer: copies while there is work for them and memory, else a model that is
 * divided; what is given stays; what does not fit is refused with the bytes. */
#include "plan/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "cpu/machine.h"

#include <cmocka.h>

enum { LENGTH = 256 };

struct trial {
    struct config config;
    struct machine machine;
    int measured;
};

static int compile(void *context, const struct layout_choice *l, struct plan **out)
{
    const struct trial *t = context;
    const struct compile_options o = { .task = TASK_EVAL,
                                       .rows = l->microbatch * LENGTH,
                                       .sequences = l->microbatch,
                                       .labels = l->microbatch * LENGTH,
                                       .mesh = l->mesh,
                                       .pipeline = l->pipeline };

    return plan_compile(&t->config, &o, &t->machine, out);
}

static int measure(void *context, struct layout_choice *l, double memory, int64_t *bytes)
{
    struct trial *t = context;
    struct plan *p;

    (void)memory;
    t->measured++;
    TRY(compile(t, l, &p));
    *bytes = plan_bytes(p);
    plan_free(p);
    return OK;
}

/* A model that takes 14.6 GB. */
static int find(const struct layout_wish *w, int64_t items, int following, struct mesh *out)
{
    struct trial t = { .machine = { .threads = 1 } };
    const struct layout_maker maker = { compile, measure, &t };
    const struct layout_work work = { items, 4, following };
    struct layout_option found;
    int status;

    assert_int_equal(config_preset(&t.config, "gpt2"), OK);
    assert_int_equal(config_override(&t.config, "n_embd=8192,n_layer=4,n_head=64"), OK);
    status = layout_forward(w, &work, &maker, NULL, &found);
    assert_true(t.measured >= 1);
    if (status == OK) {
        assert_int_equal(mesh_ranks(&found.layout.mesh), w->world);
        assert_true(found.exact && (w->memory <= 0 || found.cost.bytes <= w->memory));
        *out = found.layout.mesh;
    }
    config_release(&t.config);
    return status;
}

static void is_mesh(const struct mesh *m, int data, int tensor, int pipeline)
{
    if (mesh_size(m, AXIS_DP) != data || mesh_size(m, AXIS_TP) != tensor || mesh_size(m, AXIS_PP) != pipeline)
        fail_msg("data %d, tensor %d, pipeline %d; expected %d, %d, %d", mesh_size(m, AXIS_DP),
                 mesh_size(m, AXIS_TP), mesh_size(m, AXIS_PP), data, tensor, pipeline);
}

static void copies_share_work(void **state)
{
    struct mesh m;

    (void)state;
    for (int following = 0; following <= 4; following += 4) {
        assert_int_equal(find(&(struct layout_wish){ .world = 4 }, 1000, following, &m), OK);
        is_mesh(&m, 4, 1, 1);
        assert_int_equal(find(&(struct layout_wish){ .world = 4, .memory = 20e9 }, 16, following, &m), OK);
        is_mesh(&m, 4, 1, 1);
    }
}

static void one_sample_is_for_all_ranks(void **state)
{
    struct mesh m;

    (void)state;
    assert_int_equal(find(&(struct layout_wish){ .world = 4 }, 1, 0, &m), OK);
    is_mesh(&m, 1, 4, 1);
    assert_int_equal(find(&(struct layout_wish){ .world = 4 }, 2, 0, &m), OK);
    assert_true(mesh_size(&m, AXIS_DP) <= 2);
}

static void memory_divides_the_model(void **state)
{
    struct layout_wish w = { .world = 8, .memory = 10e9 };
    struct mesh m;

    (void)state;
    assert_int_equal(find(&w, 1000, 4, &m), OK);
    assert_int_equal(mesh_size(&m, AXIS_DP), 4);
    w.memory = 5e9;
    assert_int_equal(find(&w, 1000, 4, &m), OK);
    assert_int_equal(mesh_size(&m, AXIS_DP), 2);
    w.memory = 1e9;
    assert_int_equal(find(&w, 1000, 4, &m), ERR_SYSTEM);
    assert_non_null(strstr(error_message(), "expected 1.00 GB"));
}

static void what_is_given_stays(void **state)
{
    struct layout_wish w = { .world = 8, .pipeline = 2 };
    struct mesh m;

    (void)state;
    assert_true(layout_is_open(&w));
    assert_int_equal(find(&w, 1000, 4, &m), OK);
    is_mesh(&m, 4, 1, 2);
    w = (struct layout_wish){ .world = 4, .chunks = 2 };
    assert_int_equal(find(&w, 1000, 4, &m), OK);
    assert_true(mesh_size(&m, AXIS_PP) > 1);
    w = (struct layout_wish){ .world = 4, .zero = 3 };
    assert_int_equal(find(&w, 1, 0, &m), OK);
    assert_true(mesh_size(&m, AXIS_DP) > 1);
    assert_false(layout_is_open(&(struct layout_wish){ .world = 4, .tensor = 2, .data = 2 }));
    assert_false(layout_is_open(&(struct layout_wish){ .world = 2, .tensor = 2 }));
    assert_false(layout_is_open(&(struct layout_wish){ .world = 1 }));
    assert_false(layout_is_open(&(struct layout_wish){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_share_work),
        cmocka_unit_test(one_sample_is_for_all_ranks),
        cmocka_unit_test(memory_divides_the_model),
        cmocka_unit_test(what_is_given_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
