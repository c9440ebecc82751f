/* Every tile once, on as many threads as asked for, nested calls on their own thread. */
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

enum { TILES = 1000, THREADS = 16 };

struct visits {
    _Atomic int tile[TILES];
    _Atomic int thread[THREADS]; /* tiles that run now under this index */
    _Atomic int wrong;           /* indices out of range or taken twice at a time */
    int threads;
};

static void visit(void *context, int64_t tile)
{
    struct visits *v = context;
    int index = parallel_thread_index();
    v->tile[tile]++;
    if (index < 0 || index >= v->threads || index >= parallel_threads()) {
        v->wrong++;
        return;
    }
    if (v->thread[index]++)
        v->wrong++;
    if (tile % 16 == 0)
        sched_yield();
    v->thread[index]--;
}

static void every_tile_runs_once(void **state)
{
    static const int counts[] = { 0, 1, 2, 3, 7, 64, TILES };
    static struct visits v;
    for (int threads = 1; threads <= THREADS; threads += threads == 1 ? 1 : 7)
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
            memset(&v, 0, sizeof(v));
            v.threads = threads;
            parallel_set_threads(threads);
            parallel_for(counts[i], visit, &v);
            for (int tile = 0; tile < TILES; tile++)
                assert_int_equal(v.tile[tile], tile < counts[i]);
            assert_int_equal(v.wrong, 0);
            assert_int_equal(parallel_thread_index(), 0);
            assert_int_equal(parallel_threads(), threads);
        }
    parallel_for(-5, visit, &v);
}

struct meeting {
    _Atomic int there;
    _Atomic int met;
    int wanted;
};

/* True when `wanted` tiles are here at a time; gives up after five seconds. */
static void meet(void *context, int64_t tile)
{
    struct meeting *m = context;
    double start = clock_seconds();
    m->there++;
    while (m->there < m->wanted && clock_seconds() < start + 5)
        sched_yield();
    m->met += m->there >= m->wanted;
}

static void threads_run_at_a_time(void **state)
{
    for (int threads = 2; threads <= 5; threads++) {
        struct meeting m = { .wanted = threads };
        parallel_set_threads(threads);
        parallel_for(threads, meet, &m);
        assert_int_equal(m.met, threads);
    }
}

struct nesting {
    _Atomic int inner, strayed;
    pthread_t thread;
    int index;
};

static void inner_tile(void *context, int64_t tile)
{
    struct nesting *n = context;
    n->inner++;
    n->strayed += !pthread_equal(n->thread, pthread_self()) || parallel_thread_index() != n->index;
}

static void outer_tile(void *context, int64_t tile)
{
    struct nesting *n = context, mine = { .thread = pthread_self(), .index = parallel_thread_index() };
    parallel_for(100, inner_tile, &mine);
    n->inner += mine.inner;
    n->strayed += mine.strayed + (parallel_thread_index() != mine.index);
}

static void nested_calls_stay_on_their_thread(void **state)
{
    struct nesting n = { 0 };
    parallel_set_threads(4);
    parallel_for(20, outer_tile, &n);
    assert_int_equal(n.inner, 2000);
    assert_int_equal(n.strayed, 0);
}

static void meet_inside(void *context, int64_t tile)
{
    parallel_for(3, meet, context);
}

static void one_tile_is_no_nesting(void **state)
{
    struct meeting m = { .wanted = 3 };
    parallel_set_threads(3);
    parallel_for(1, meet_inside, &m);
    assert_int_equal(m.met, 3);
}

static void *rank(void *arg)
{
    int *result = arg;
    struct meeting m = { .wanted = 3 };
    *result = parallel_threads() == parallel_cpus() ? 0 : 1;
    parallel_set_threads(3);
    parallel_for(3, meet, &m);
    *result += m.met == 3 && parallel_threads() == 3 ? 0 : 2;
    return NULL;
}

static void each_thread_sets_its_own(void **state)
{
    pthread_t ranks[2];
    int results[2] = { 9, 9 };
    parallel_set_threads(2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&ranks[i], NULL, rank, &results[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(ranks[i], NULL);
        assert_int_equal(results[i], 0);
    }
    assert_int_equal(parallel_threads(), 2);
}

static void *one_processor(void *arg)
{
    cpu_set_t now, one;
    int *result = arg;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof(now), &now) == 0)
        for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
            if (CPU_ISSET(i, &now))
                CPU_SET(i, &one);
    *result = sched_setaffinity(0, sizeof(one), &one) == 0 ? parallel_cpus() : -1;
    return NULL;
}

static void the_affinity_mask_is_counted(void **state)
{
    cpu_set_t now;
    pthread_t thread;
    int result = 0;
    assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
    assert_int_equal(parallel_cpus(), CPU_COUNT(&now));
    assert_int_equal(pthread_create(&thread, NULL, one_processor, &result), 0);
    pthread_join(thread, NULL);
    if (result == -1)
        skip(); /* the system does not let it be set */
    assert_int_equal(result, 1);
}

static void division_rounds_up(void **state)
{
    assert_int_equal(ceil_div(0, 4), 0);
    assert_int_equal(ceil_div(1, 4), 1);
    assert_int_equal(ceil_div(4, 4), 1);
    assert_int_equal(ceil_div(5, 4), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tile_runs_once),
        cmocka_unit_test(threads_run_at_a_time),
        cmocka_unit_test(nested_calls_stay_on_their_thread),
        cmocka_unit_test(one_tile_is_no_nesting),
        cmocka_unit_test(each_thread_sets_its_own),
        cmocka_unit_test(the_affinity_mask_is_counted),
        cmocka_unit_test(division_rounds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
