/* Two handles on two threads at the same time: each gives what it gives alone, and errors stay with their
 * thread. */
#include <pthread.h>

#include "support.h"

enum { LENGTH = 24, ROUNDS = 5, VOCAB = 128 };

struct work {
    const char *path; /* NULL: a new model */
    const int32_t *ids;
    float logits[LENGTH * VOCAB];
    int status;
    char error[200];
};

static void compute(struct work *w)
{
    const char *options[] = { "config_overrides",
                              "vocab_size=128,n_positions=24,n_layer=3,n_embd=48,n_head=3", NULL };
    struct plait_array in = ints("input_ids", w->ids, 1, LENGTH), out;
    struct plait_model *m;

    w->status = w->path ? plait_model_open(w->path, NULL, &m) : plait_model_create("gpt2", options, &m);
    snprintf(w->error, sizeof(w->error), "%s", plait_error());
    if (w->status != PLAIT_OK)
        return;
    w->status = plait_model_forward(m, &in, 1, PLAIT_LOGITS, NULL);
    if (w->status == PLAIT_OK)
        w->status = plait_model_output(m, "logits", &out);
    if (w->status == PLAIT_OK)
        memcpy(w->logits, out.data, sizeof(w->logits));
    plait_model_free(m);
}

static void *work(void *context)
{
    struct work *w = context;

    w->status = plait_threads_set(2);
    for (int i = 0; i < ROUNDS && w->status == PLAIT_OK; i++)
        compute(w);
    return NULL;
}

static void two_at_once(void **state)
{
    static struct work a, b, alone_a, alone_b, failing;
    pthread_t threads[3];
    struct work *works[] = { &a, &b, &failing };
    int32_t ids[LENGTH];

    (void)state;
    for (int i = 0; i < LENGTH; i++)
        ids[i] = i * i % VOCAB;
    alone_a = (struct work){ .path = GOLDEN_DIR "/gpt2/plain", .ids = ids };
    alone_b = (struct work){ .ids = ids };
    a = alone_a;
    b = alone_b;
    failing = (struct work){ .path = GOLDEN_DIR "/gpt2/nowhere", .ids = ids };
    compute(&alone_a);
    compute(&alone_b);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, works[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(alone_a.status, PLAIT_OK);
    assert_int_equal(a.status, PLAIT_OK);
    assert_int_equal(b.status, PLAIT_OK);
    assert_int_equal(failing.status, PLAIT_ERROR_OPEN);
    assert_non_null(strstr(failing.error, "nowhere"));
    assert_string_equal(plait_error(), "");
    assert_memory_equal(a.logits, alone_a.logits, sizeof(a.logits));
    assert_memory_equal(b.logits, alone_b.logits, sizeof(b.logits));
    assert_memory_not_equal(a.logits, b.logits, sizeof(a.logits));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(two_at_once) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
