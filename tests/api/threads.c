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
    struct plait_forward_inputs in;
    struct plait_forward_outputs out;
    struct plait_model_options o;
    struct plait_model *m;

    plait_model_options_init(&o, sizeof(o));
    o.overrides = "vocab_size=128,n_positions=24,n_layer=3,n_embd=48,n_head=3";
    w->status = w->path ? plait_model_open(w->path, NULL, &m) : plait_model_create("gpt2", &o, &m);
    snprintf(w->error, sizeof(w->error), "%s", plait_error());
    if (w->status != PLAIT_OK)
        return;
    plait_forward_inputs_init(&in, sizeof(in));
    plait_forward_outputs_init(&out, sizeof(out));
    in.batch = 1;
    in.length = LENGTH;
    in.ids = w->ids;
    out.logits = w->logits;
    out.logits_count = LENGTH * VOCAB;
    w->status = plait_model_forward(m, &in, &out);
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
    int32_t *ids;
    int64_t count, rows;

    (void)state;
    ids = read_ints(GOLDEN_DIR "/gpt2/plain/inputs.safetensors", "input_ids", &rows, &count);
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
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(two_at_once) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
