/* Schedules: sound for all sizes, as small a bubble and as few slots as their papers say; what is broken is
 * refused. */
#include "pipe/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#include <cmocka.h>

enum { MOST_STAGES = 32 };

static struct schedule *make(enum schedule_kind kind, int ranks, int chunks, int microbatches)
{
    const struct schedule_options o = {
        .kind = kind, .ranks = ranks, .chunks = chunks, .microbatches = microbatches
    };
    struct schedule *s = NULL;

    error_clear();
    if (schedule_create(&o, &s) != OK)
        fail_msg("%s", error_message());
    return s;
}

/* Every pass takes one unit of time, a transfer `transfer`. */
static struct timeline play(const struct schedule *s, double transfer)
{
    struct stage_cost stage[MOST_STAGES];
    struct timeline t;

    for (int i = 0; i < MOST_STAGES; i++)
        stage[i] = (struct stage_cost){ 1, 1, 1, transfer };
    assert_int_equal(schedule_simulate(s, &(struct schedule_cost){ .stage = stage }, &t), OK);
    return t;
}

static double idle(const struct schedule *s)
{
    struct timeline t = play(s, 0);
    double idle = t.bubble * t.seconds;

    timeline_release(&t);
    return idle;
}

static void is_sound_for_all_sizes(void **state)
{
    (void)state;
    for (int kind = 0; kind < SCHEDULE_KINDS; kind++) {
        bool chunked = kind == SCHEDULE_INTERLEAVED;
        for (int ranks = 1; ranks <= 8; ranks++)
            for (int chunks = chunked ? 2 : 1; chunks <= (chunked ? 4 : 1); chunks++)
                for (int m = chunked ? ranks : 1; m <= 17; m += chunked ? ranks : 1)
                    schedule_free(make((enum schedule_kind)kind, ranks, chunks, m));
    }
}

static void has_the_bubble_of_its_paper(void **state)
{
    struct schedule *s;

    (void)state;
    for (int ranks = 2; ranks <= 8; ranks++) {
        s = make(SCHEDULE_1F1B, ranks, 1, 2 * ranks); /* (p - 1) (F + B + W) */
        assert_float_equal(idle(s), 3 * (ranks - 1), 1e-9);
        schedule_free(s);
        s = make(SCHEDULE_GPIPE, ranks, 1, 2 * ranks);
        assert_float_equal(idle(s), 3 * (ranks - 1), 1e-9);
        schedule_free(s);
        s = make(SCHEDULE_INTERLEAVED, ranks, 3, 2 * ranks); /* one stage is a third of a rank's work */
        assert_float_equal(idle(s), 3 * (ranks - 1), 1e-9);
        schedule_free(s);
        s = make(SCHEDULE_ZERO_BUBBLE, ranks, 1, 2 * ranks); /* (p - 1) (F + B - W) */
        assert_float_equal(idle(s), ranks - 1, 1e-9);
        schedule_free(s);
    }
}

static void keeps_as_few_microbatches_as_it_may(void **state)
{
    struct schedule *one = make(SCHEDULE_1F1B, 4, 1, 8), *zero = make(SCHEDULE_ZERO_BUBBLE, 4, 1, 8);
    struct schedule *all = make(SCHEDULE_GPIPE, 4, 1, 8), *few = make(SCHEDULE_1F1B, 4, 1, 2);

    (void)state;
    for (int r = 0; r < 4; r++) {
        assert_int_equal(one->f_slots[r], 4 - r);
        assert_int_equal(one->w_slots[r], 0);
        assert_true(zero->f_slots[r] <= 4 - r);
        assert_true(zero->w_slots[r] <= 4);
        assert_int_equal(all->f_slots[r], 8);
        assert_true(few->f_slots[r] <= 2);
    }
    schedule_free(one);
    schedule_free(zero);
    schedule_free(all);
    schedule_free(few);
}

static void waits_for_transfers(void **state)
{
    struct schedule *s = make(SCHEDULE_1F1B, 2, 1, 1);
    struct timeline t = play(s, 0.5);

    (void)state;
    assert_float_equal(t.seconds, 6 + 2 * 0.5, 1e-9);
    timeline_release(&t);
    schedule_free(s);
}

static void prints_itself(void **state)
{
    struct schedule *s = make(SCHEDULE_1F1B, 2, 1, 2);
    struct str out;

    (void)state;
    str_init(&out);
    schedule_print(s, &out);
    assert_string_equal(out.data, "0: L0 F0 >0 L1 F1 >1 <g0 B0 <g1 B1 R S\n"
                                  "1: L0 <0 F0 B0 >g0 L1 <1 F1 B1 >g1 R S\n");
    str_release(&out);
    schedule_free(s);
}

static void traces_as_json(void **state)
{
    struct schedule *s = make(SCHEDULE_INTERLEAVED, 2, 2, 4);
    struct timeline t = play(s, 0);
    struct str out;

    (void)state;
    str_init(&out);
    timeline_trace(&t, &out);
    assert_int_equal(t.count,
                     2 * (4 * 2 * 2 + 2 + 1)); /* forward and backward, reduce for each chunk, step */
    assert_true(strstr(out.data, "{\"name\":\"FORWARD 0\",") != NULL);
    str_release(&out);
    timeline_release(&t);
    schedule_free(s);
}

static void runs_forward_only(void **state)
{
    for (int ranks = 1; ranks <= 5; ranks++) {
        for (int chunks = 1; chunks <= 3; chunks++) {
            const struct schedule_options o = { .kind =
                                                    chunks > 1 ? SCHEDULE_INTERLEAVED : SCHEDULE_ZERO_BUBBLE,
                                                .ranks = ranks,
                                                .chunks = chunks,
                                                .microbatches = 7,
                                                .forward_only = true };
            struct schedule *s;
            (void)state;
            assert_int_equal(schedule_create(&o, &s), OK);
            for (size_t i = 0; i < s->rank[0].count; i++)
                assert_true(s->rank[0].list[i].kind < INSTRUCTION_REDUCE);
            schedule_free(s);
        }
    }
}

static void refuses_chunks_that_cannot_be(void **state)
{
    const struct schedule_options many = {
        .kind = SCHEDULE_1F1B, .ranks = 2, .chunks = 2, .microbatches = 4
    };
    const struct schedule_options one = {
        .kind = SCHEDULE_INTERLEAVED, .ranks = 2, .chunks = 1, .microbatches = 4
    };
    const struct schedule_options odd = {
        .kind = SCHEDULE_INTERLEAVED, .ranks = 4, .chunks = 2, .microbatches = 6
    };
    struct schedule *s;

    (void)state;
    assert_int_equal(schedule_create(&many, &s), ERR_CONFIG);
    assert_non_null(strstr(error_message(), "pipeline_chunks 2: the schedule 1f1b has one chunk"));
    error_clear();
    assert_int_equal(schedule_create(&one, &s), ERR_CONFIG);
    assert_non_null(strstr(error_message(), "pipeline_chunks 1"));
    error_clear();
    assert_int_equal(schedule_create(&odd, &s), ERR_CONFIG);
    assert_non_null(strstr(error_message(),
                           "num_microbatches 6: the schedule interleaved takes a multiple of the "
                           "4 pipeline ranks (nearest: 4)"));
    error_clear();
}

/* ---- Broken schedules ---- */

static struct instruction *find(struct schedule *s, int rank, enum instruction_kind kind, int microbatch)
{
    for (size_t i = 0; i < s->rank[rank].count; i++) {
        struct instruction *n = &s->rank[rank].list[i];
        if (n->kind == kind && n->microbatch == microbatch)
            return n;
    }
    fail_msg("no such instruction");
    return NULL;
}

static void expect_refused(struct schedule *s, const char *text)
{
    error_clear();
    assert_int_equal(schedule_check(s), ERR_INTERNAL);
    if (!strstr(error_message(), text))
        fail_msg("\"%s\" lacks \"%s\"", error_message(), text);
    error_clear();
    schedule_free(s);
}

static void swap(struct instruction *a, struct instruction *b)
{
    struct instruction t = *a;

    *a = *b;
    *b = t;
}

static void refuses_broken_ones(void **state)
{
    struct schedule *s = make(SCHEDULE_1F1B, 2, 1, 4);

    (void)state;
    swap(find(s, 1, INSTRUCTION_FORWARD, 1), find(s, 1, INSTRUCTION_RECV_ACT, 1));
    expect_refused(s, "FORWARD of microbatch 1, chunk 0: cannot be here");
    s = make(SCHEDULE_1F1B, 2, 1, 4);
    find(s, 0, INSTRUCTION_FORWARD, 2)->microbatch = 1;
    expect_refused(s, "comes twice");
    s = make(SCHEDULE_1F1B, 2, 1, 4);
    find(s, 0, INSTRUCTION_LOAD, 1)->f_slot = 0;
    expect_refused(s, "its slot is in use");
    s = make(SCHEDULE_1F1B, 2, 1, 4);
    find(s, 0, INSTRUCTION_LOAD, 1)->f_slot = 7;
    expect_refused(s, "out of range");
    s = make(SCHEDULE_1F1B, 2, 1, 4);
    swap(find(s, 0, INSTRUCTION_REDUCE, 0), find(s, 0, INSTRUCTION_BACKWARD, 3));
    expect_refused(s, "before all gradients are made");
    s = make(SCHEDULE_ZERO_BUBBLE, 2, 1, 4);
    swap(find(s, 0, INSTRUCTION_BACKWARD_INPUT, 3), find(s, 0, INSTRUCTION_BACKWARD_WEIGHT, 3));
    expect_refused(s, "cannot be here");
    s = make(SCHEDULE_ZERO_BUBBLE, 2, 1, 4);
    s->rank[0].count--;
    expect_refused(s, "the step is not the last");
    s = make(SCHEDULE_1F1B, 2, 1, 4);
    s->rank[1].list[0] = s->rank[1].list[s->rank[1].count - 1];
    s->rank[1].count = 1;
    expect_refused(s, "something is never done with it");
}

/* Both orders are sound for each rank alone, but rank 0 wants microbatch 0 back before it sends the other,
 * which rank 1 wants first. */
static void finds_endless_waiting(void **state)
{
    struct schedule *s = make(SCHEDULE_1F1B, 2, 1, 2);
    struct instruction *list = s->rank[0].list, forward[3]; /* L0 F0 >0, L1 F1 >1, <g0 B0, ... */

    (void)state;
    memcpy(forward, list + 3, sizeof(forward));
    memmove(list + 3, list + 6, 2 * sizeof(list[0]));
    memcpy(list + 5, forward, sizeof(forward));
    for (size_t i = 0; i < s->rank[0].count; i++)
        list[i].f_slot = list[i].f_slot < 0 ? -1 : 0;
    assert_int_equal(schedule_check(s), OK);
    for (size_t i = 0; i < s->rank[1].count; i++)
        if (s->rank[1].list[i].kind < INSTRUCTION_REDUCE)
            s->rank[1].list[i].microbatch ^= 1;
    expect_refused(s, "waits for ever");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_sound_for_all_sizes),
        cmocka_unit_test(has_the_bubble_of_its_paper),
        cmocka_unit_test(keeps_as_few_microbatches_as_it_may),
        cmocka_unit_test(waits_for_transfers),
        cmocka_unit_test(prints_itself),
        cmocka_unit_test(traces_as_json),
        cmocka_unit_test(runs_forward_only),
        cmocka_unit_test(refuses_chunks_that_cannot_be),
        cmocka_unit_test(refuses_broken_ones),
        cmocka_unit_test(finds_endless_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
