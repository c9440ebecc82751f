/* Training through the library: samples of the caller's own follow PyTorch's 40 golden steps; losses of the
 * caller's own; stopped and gone on; misuse. */
#include "train_run.h"

static double evaluate(struct run *r)
{
    double loss;
    int64_t labels;

    must(plait_model_evaluate(r->m, &r->samples, 8, &loss, &labels));
    assert_int_equal(labels, MOST_ROWS * (r->labelled ? LENGTH / 2 : LENGTH - 1));
    return loss;
}

/* ---- runs ---- */

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
    const char *options[] = { "config_overrides", "n_layer=1,n_embd=16,n_head=2,vocab_size=64,n_positions=32",
                              "seed", "7", NULL };
    struct run r;
    double loss;

    run_begin(&r, state, "run");
    plait_model_free(r.m);
    must(plait_model_create("gpt2", options, &r.m));
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

/* ---- misuse ---- */

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

/* ---- files as samples ---- */

static void files_as_samples(void **state)
{
    const char *files[] = { GOLDEN_DIR "/gpt2/train40/plain.jsonl" };
    struct plait_dataset_options d;
    struct plait_dataset *dataset = NULL;
    struct plait_samples samples;
    struct plait_sample s = { .size = sizeof(s), .max_length = LENGTH };
    int32_t ids[LENGTH], labels[LENGTH];
    struct run r;
    double own, theirs;

    run_begin(&r, state, "run");
    must(plait_dataset_options_init(&d, sizeof(d)));
    refused(plait_dataset_open(r.m, &d, &dataset), PLAIT_ERROR_USAGE, "no files");
    d.train_files = files;
    d.train_file_count = 1;
    d.cache_dir = *state;
    d.more = "{\"no_such\": 1}";
    refused(plait_dataset_open(r.m, &d, &dataset), PLAIT_ERROR_USAGE, "no_such");
    d.more = "{\"line_by_line\": true}";
    d.block_size = 1;
    refused(plait_dataset_open(r.m, &d, &dataset), PLAIT_ERROR_USAGE, "block_size");
    d.block_size = LENGTH;
    must(plait_dataset_open(r.m, &d, &dataset));
    must(plait_samples_init(&samples, sizeof(samples)));
    refused(plait_dataset_samples(dataset, PLAIT_DATASET_EVAL, &samples), PLAIT_ERROR_USAGE,
            "without this part");
    refused(plait_dataset_samples(dataset, 2, &samples), PLAIT_ERROR_USAGE, "no such part");
    must(plait_dataset_samples(dataset, PLAIT_DATASET_TRAIN, &samples));
    assert_int_equal(samples.count, r.golden->count);
    assert_int_equal(samples.max_length, LENGTH);
    s.ids = ids;
    s.labels = labels;
    assert_int_equal(samples.read(samples.context, 3, &s), 0);
    assert_int_equal(s.length, LENGTH);
    assert_memory_equal(ids, r.golden->rows[3], sizeof(ids));
    r.samples.count = samples.count;
    must(plait_model_evaluate(r.m, &r.samples, 8, &own, NULL));
    must(plait_model_evaluate(r.m, &samples, 8, &theirs, NULL));
    assert_true(own == theirs);
    r.o.train = &samples;
    r.o.resume = "auto";
    r.stop_at = 3;
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_STOPPED, "step 3 of 40");
    samples.identity = "other data";
    refused(plait_model_train(r.m, &r.o), PLAIT_ERROR_CONFIG, "train_data is not that of the run");
    plait_dataset_free(dataset);
    plait_dataset_free(NULL);
    run_end(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(follows_pytorch),
        TEST(ranks_follow_too),
        TEST(stops_and_goes_on),
        TEST(labels_of_the_callers),
        TEST(trains_a_new_model),
        TEST(files_as_samples),
        TEST(refuses),
        TEST(more_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
