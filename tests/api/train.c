/* Training through the library: samples of the caller's own follow PyTorch's 40 golden steps; losses of the
 * caller's own; stopped and gone on; misuse. */
#include "support.h"

#define MODEL GOLDEN_DIR "/gpt2/train40/model"

enum { STEPS = 40, LENGTH = 32, BATCH = 4, MOST_ROWS = STEPS * BATCH };

struct golden {
    int32_t rows[MOST_ROWS][LENGTH];
    int64_t count;
    double loss[STEPS], norm[STEPS];
};

/* ---- goldens ---- */

static void read_numbers(const char *from, const char *key, double *out, int count)
{
    char *at = strstr(from, key);

    assert_non_null(at);
    at = strchr(at, '[') + 1;
    for (int i = 0; i < count; i++)
        out[i] = strtod(at, &at), at += strcspn(at, ",]") + 1;
}

static struct golden *read_golden(void)
{
    struct golden *g = calloc(1, sizeof(*g));
    size_t length;
    char *text = read_bytes(GOLDEN_DIR "/gpt2/train40/plain.jsonl", &length), *at = text;
    char *expected = read_bytes(GOLDEN_DIR "/gpt2/train40/expected.json", &length);

    while ((at = strchr(at, '[')) != NULL) {
        assert_in_range(g->count, 0, MOST_ROWS - 1);
        at++;
        for (int i = 0; i < LENGTH; i++)
            g->rows[g->count][i] = (int32_t)strtol(at, &at, 10), at++;
        g->count++;
    }
    read_numbers(strstr(expected, "\"plain\""), "\"loss\"", g->loss, STEPS);
    read_numbers(strstr(expected, "\"plain\""), "\"grad_norm\"", g->norm, STEPS);
    free(text);
    free(expected);
    return g;
}

/* ---- a run ---- */

struct run {
    struct golden *golden;
    struct plait_model *m;
    struct plait_samples samples;
    struct plait_train_options o;
    double loss[STEPS], norm[STEPS], rate[STEPS];
    int64_t steps, stop_at; /* 0: never */
    int64_t fail_at;        /* sample whose read fails; -1: none */
    bool labelled;
    struct path dir;
};

static int read_row(void *context, int64_t index, struct plait_sample *s)
{
    struct run *r = context;

    if (s->max_length != LENGTH || s->size != sizeof(*s) || index == r->fail_at)
        return 1;
    memcpy(s->ids, r->golden->rows[index % r->golden->count], LENGTH * sizeof(s->ids[0]));
    s->length = LENGTH;
    if (!r->labelled)
        return 0;
    s->labelled = 1;
    for (int i = 0; i < LENGTH; i++)
        s->labels[i] = i < LENGTH / 2 ? -100 : s->ids[i];
    return 0;
}

static int note_step(void *context, const struct plait_train_progress *p)
{
    struct run *r = context;

    if (p->size != sizeof(*p) || p->step > STEPS || p->step < 1)
        return 1;
    r->loss[p->step - 1] = p->loss;
    r->norm[p->step - 1] = p->grad_norm;
    r->rate[p->step - 1] = p->learning_rate;
    r->steps = p->step;
    return r->stop_at && p->step >= r->stop_at;
}

static void run_begin(struct run *r, void **state, const char *dir)
{
    *r = (struct run){ .golden = read_golden(), .fail_at = -1 };
    must(plait_log_set(PLAIT_LOG_ERROR));
    must(plait_model_open(MODEL, NULL, &r->m));
    must(plait_samples_init(&r->samples, sizeof(r->samples)));
    r->samples.count = MOST_ROWS;
    r->samples.max_length = LENGTH;
    r->samples.read = read_row;
    r->samples.context = r;
    must(plait_train_options_init(&r->o, sizeof(r->o)));
    r->o.output_dir = within(state, dir, &r->dir);
    r->o.train = &r->samples;
    r->o.batch_size = BATCH;
    r->o.max_steps = STEPS;
    r->o.no_shuffle = 1;
    r->o.learning_rate = 0.01;
    r->o.warmup_steps = 5;
    r->o.adam_beta2 = 0.98;
    r->o.weight_decay = 0.1;
    r->o.logging_steps = 1;
    r->o.progress = note_step;
    r->o.progress_context = r;
}

static void run_end(struct run *r)
{
    plait_model_free(r->m);
    free(r->golden);
}

static double evaluate(struct run *r)
{
    double loss;
    int64_t labels;

    must(plait_model_evaluate(r->m, &r->samples, 8, &loss, &labels));
    assert_int_equal(labels, MOST_ROWS * (r->labelled ? LENGTH / 2 : LENGTH - 1));
    return loss;
}

static void follow(const struct run *r, const double *loss, const double *norm)
{
    assert_int_equal(r->steps, STEPS);
    for (int i = 0; i < STEPS; i++) {
        if (fabs(r->loss[i] - loss[i]) > 2e-3 * loss[i])
            fail_msg("loss of step %d is %.6f, expected %.6f", i + 1, r->loss[i], loss[i]);
        if (norm && fabs(r->norm[i] - norm[i]) > 2e-2 * norm[i])
            fail_msg("gradient norm of step %d is %.6f, expected %.6f", i + 1, r->norm[i], norm[i]);
    }
}

/* ---- tests ---- */

static void follows_pytorch(void **state)
{
    struct plait_model *saved;
    struct run r;
    double before, after;
    float *a, *b;

    run_begin(&r, state, "run");
    before = evaluate(&r);
    must(plait_model_train(r.m, &r.o));
    follow(&r, r.golden->loss, r.golden->norm);
    after = evaluate(&r);
    assert_true(after < before - 0.5);
    assert_string_equal(plait_model_directory(r.m), r.dir.text);
    must(plait_model_open(r.dir.text, NULL, &saved));
    a = malloc(64 * 32 * sizeof(float));
    b = malloc(64 * 32 * sizeof(float));
    must(plait_model_param_read(r.m, "transformer.wte.weight", a, 64 * 32));
    must(plait_model_param_read(saved, "transformer.wte.weight", b, 64 * 32));
    assert_memory_equal(a, b, 64 * 32 * sizeof(float));
    plait_model_free(saved);
    free(a);
    free(b);
    run_end(&r);
}

static void ranks_follow_too(void **state)
{
    struct run r;

    run_begin(&r, state, "run");
    r.o.data_parallel_size = r.o.tensor_parallel_size = 2;
    r.o.batch_size = 2;
    must(plait_model_train(r.m, &r.o));
    follow(&r, r.golden->loss, r.golden->norm);
    run_end(&r);
}

/* Stopped by the caller at step 11 and gone on: the same model, to the bit. */
static void stops_and_goes_on(void **state)
{
    struct run whole, parts;
    float *a = malloc(64 * 32 * sizeof(float)), *b = malloc(64 * 32 * sizeof(float));

    run_begin(&whole, state, "whole");
    must(plait_model_train(whole.m, &whole.o));
    run_begin(&parts, state, "parts");
    parts.o.resume = "auto";
    parts.stop_at = 11;
    refused(plait_model_train(parts.m, &parts.o), PLAIT_ERROR_STOPPED, "step 11 of 40");
    assert_string_equal(plait_model_directory(parts.m), MODEL);
    parts.stop_at = 0;
    must(plait_model_train(parts.m, &parts.o));
    assert_int_equal(parts.steps, STEPS);
    assert_true(parts.loss[STEPS - 1] == whole.loss[STEPS - 1]);
    must(plait_model_param_read(whole.m, "transformer.wte.weight", a, 64 * 32));
    must(plait_model_param_read(parts.m, "transformer.wte.weight", b, 64 * 32));
    assert_memory_equal(a, b, 64 * 32 * sizeof(float));
    free(a);
    free(b);
    run_end(&whole);
    run_end(&parts);
}

static void labels_of_the_callers(void **state)
{
    struct run r, all;

    run_begin(&all, state, "all");
    must(plait_model_train(all.m, &all.o));
    run_begin(&r, state, "half");
    r.labelled = true;
    r.o.eval = &r.samples;
    r.o.eval_steps = 20;
    must(plait_model_train(r.m, &r.o));
    assert_true(r.loss[0] != all.loss[0]);
    evaluate(&r);
    run_end(&r);
    run_end(&all);
}

/* A new model, without files: its own random weights are where training begins. */
static void trains_a_new_model(void **state)
{
    struct plait_model_options o;
    struct run r;
    double loss;

    run_begin(&r, state, "run");
    plait_model_free(r.m);
    must(plait_model_options_init(&o, sizeof(o)));
    o.overrides = "n_layer=1,n_embd=16,n_head=2,vocab_size=64,n_positions=32";
    o.seed = 7;
    must(plait_model_create("gpt2", &o, &r.m));
    refused(plait_model_evaluate(r.m, &r.samples, 8, &loss, NULL), PLAIT_ERROR_USAGE, "in no files");
    r.o.seed = 8;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "found 8, expected 7");
    r.o.seed = -1;
    must(plait_model_train(r.m, &r.o));
    assert_true(fabs(r.loss[0] - log(64)) < 0.1);
    assert_true(r.loss[STEPS - 1] < r.loss[0] - 0.1);
    assert_true(evaluate(&r) < r.loss[0]);
    run_end(&r);
}

/* ---- losses of the caller's own ---- */

static struct plait_tensor *usual(void *context, struct plait_builder *b)
{
    (*(int *)context)++;
    return plait_op_head_loss(b, plait_builder_hidden(b));
}

/* The same in other words, and twice half of it. */
static struct plait_tensor *in_other_words(void *context, struct plait_builder *b)
{
    struct plait_tensor *half =
        plait_op_scale(b, plait_op_sum(b, plait_op_token_losses(b, plait_builder_hidden(b))), 0.5);

    (*(int *)context)++;
    assert_non_null(plait_builder_ids(b));
    assert_non_null(plait_builder_labels(b));
    assert_non_null(plait_builder_label_rows(b));
    return plait_op_add(b, half, half);
}

static struct plait_tensor *bounded(void *context, struct plait_builder *b)
{
    struct plait_tensor *losses = plait_op_token_losses(b, plait_builder_hidden(b));

    (*(int *)context)++;
    return plait_op_sum(b, plait_op_activation(b, plait_op_scale(b, losses, 0.5), "tanh"));
}

static struct plait_tensor *through_dropout(void *context, struct plait_builder *b)
{
    (*(int *)context)++;
    return plait_op_head_loss(b, plait_op_dropout(b, plait_builder_hidden(b), 0.5));
}

static void train_with(struct run *r, void **state, const char *dir, plait_loss_fn *loss, int ranks)
{
    int calls = 0;

    run_begin(r, state, dir);
    r->o.loss = loss;
    r->o.loss_context = &calls;
    r->o.tensor_parallel_size = ranks;
    must(plait_model_train(r->m, &r->o));
    assert_true(calls > 0);
}

static void own_losses(void **state)
{
    struct run a, b, c, d, e;

    train_with(&a, state, "usual", usual, 1);
    follow(&a, a.golden->loss, a.golden->norm);
    train_with(&b, state, "words", in_other_words, 1);
    follow(&b, b.golden->loss, b.golden->norm);
    train_with(&c, state, "bounded", bounded, 1);
    assert_true(c.loss[0] < 1 && c.loss[0] > 0.9);
    assert_true(c.loss[STEPS - 1] < c.loss[0] - 0.02);
    train_with(&d, state, "ranks", bounded, 2);
    follow(&d, c.loss, c.norm);
    train_with(&e, state, "dropout", through_dropout, 1);
    assert_true(fabs(e.loss[0] - a.loss[0]) > 1e-6 && fabs(e.loss[0] - a.loss[0]) < 0.5);
    run_end(&a);
    run_end(&b);
    run_end(&c);
    run_end(&d);
    run_end(&e);
}

/* ---- misuse ---- */

enum mistake {
    NO_LOSS,
    NO_SCALAR,
    NULL_TENSOR,
    WRONG_SHAPES,
    WRONG_TYPE,
    NO_FUNCTION,
    NOT_FINITE,
    BAD_SHARE,
    IDS_ARE_NO_LOSS,
    SUM_OF_ROWS,
    MISTAKES
};

static struct plait_tensor *mistaken(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_builder_hidden(b), *losses;

    switch (*(enum mistake *)context) {
    case NO_SCALAR: return x;
    case NULL_TENSOR: return plait_op_add(b, x, NULL);
    case WRONG_SHAPES: return plait_op_add(b, x, plait_op_token_losses(b, x));
    case WRONG_TYPE: return plait_op_scale(b, plait_builder_ids(b), 2);
    case NO_FUNCTION: return plait_op_activation(b, x, "sine");
    case NOT_FINITE: return plait_op_scale(b, x, (double)INFINITY);
    case BAD_SHARE: return plait_op_dropout(b, x, 1);
    case IDS_ARE_NO_LOSS: return plait_builder_ids(b);
    case SUM_OF_ROWS: return plait_op_sum(b, x);
    default: break;
    }
    losses = plait_op_activation(b, x, NULL);
    assert_null(losses);
    assert_null(plait_op_head_loss(b, x));
    return NULL;
}

static void losses_that_cannot_be(void **state)
{
    static const char *const words[MISTAKES] = {
        "the name is NULL", "no scalar", "a tensor is NULL", "differ in shape", "floating-point", "sine",
        "finite",           "[0, 1)",    "no scalar",        "(R) floats",
    };
    struct run r;

    run_begin(&r, state, "run");
    r.o.loss = mistaken;
    r.o.overwrite_output_dir = 1;
    for (enum mistake i = NO_LOSS; i < MISTAKES; i++) {
        r.o.loss_context = &i;
        refused(plait_model_train(r.m, &r.o), i == NO_FUNCTION ? PLAIT_ERROR_CONFIG : PLAIT_ERROR_USAGE,
                words[i]);
    }
    assert_null(plait_op_head_loss(NULL, NULL));
    assert_null(plait_builder_hidden(NULL));
    run_end(&r);
}

static void refuses(void **state)
{
    struct plait_samples empty;
    struct run r;
    double loss;

    run_begin(&r, state, "run");
    refused(plait_model_train(NULL, &r.o), PLAIT_ERROR_USAGE, "m is NULL");
    refused(plait_model_train(r.m, NULL), PLAIT_ERROR_USAGE, "options is NULL");
    r.o.size--;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "wrong size");
    r.o.size++;
    r.o.train = NULL;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "train is NULL");
    must(plait_samples_init(&empty, sizeof(empty)));
    r.o.train = &empty;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "read is NULL");
    empty = r.samples;
    empty.max_length = 33;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "at most the model's 32");
    r.o.train = &r.samples;
    r.o.output_dir = NULL;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "output_dir is NULL");
    r.o.output_dir = r.dir.text;
    r.o.learning_rate = -1;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "learning_rate");
    r.o.learning_rate = 0.01;
    r.o.lr_scheduler_type = "sawtooth";
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "sawtooth");
    r.o.lr_scheduler_type = "linear";
    r.o.more = "{\"no_such\": 1}";
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "no_such");
    r.o.more = "{\"freeze\"";
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_DATA, "more");
    r.o.more = NULL;
    r.o.data_parallel_size = 0;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_USAGE, "data_parallel_size");
    r.o.data_parallel_size = 1;
    r.fail_at = 5;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_DATA, "sample 5");
    refused(plait_model_evaluate(r.m, &r.samples, 0, &loss, NULL), PLAIT_ERROR_USAGE, "batch_size");
    refused(plait_model_evaluate(r.m, NULL, 1, &loss, NULL), PLAIT_ERROR_USAGE, "samples is NULL");
    refused(plait_model_evaluate(r.m, &r.samples, 8, NULL, NULL), PLAIT_ERROR_USAGE, "loss is NULL");
    refused(plait_train_options_init(&r.o, 1), PLAIT_ERROR_USAGE, "wrong size");
    refused(plait_samples_init(NULL, 1), PLAIT_ERROR_USAGE, "NULL");
    run_end(&r);
}

static void more_options(void **state)
{
    struct run r;
    float *before = malloc(64 * 32 * sizeof(float)), *after = malloc(64 * 32 * sizeof(float));

    run_begin(&r, state, "run");
    must(plait_model_param_read(r.m, "transformer.wte.weight", before, 64 * 32));
    r.o.more = "{\"freeze\": \"wte\", \"save_strategy\": \"no\"}";
    r.o.save_steps = 0;
    must(plait_model_train(r.m, &r.o));
    must(plait_model_param_read(r.m, "transformer.wte.weight", after, 64 * 32));
    assert_memory_equal(before, after, 64 * 32 * sizeof(float));
    free(before);
    free(after);
    run_end(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(follows_pytorch),       TEST(ranks_follow_too),
        TEST(stops_and_goes_on),     TEST(labels_of_the_callers),
        TEST(trains_a_new_model),    TEST(own_losses),
        TEST(losses_that_cannot_be), TEST(refuses),
        TEST(more_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
