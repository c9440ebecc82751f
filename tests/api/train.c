/* Training through the library: samples of the caller's own follow PyTorch's 40 golden steps, of every kind
 * of head; files that options name; stopped and gone on; misuse. */
#include "train_run.h"

static double evaluate(struct run *r)
{
    struct plait_evaluation e = { .size = sizeof(e) };

    must(plait_model_evaluate(r->m, NULL, &r->samples, NULL, &e));
    assert_int_equal(e.label_count, MOST_ROWS * (r->labelled ? LENGTH / 2 : LENGTH - 1));
    assert_int_equal(e.sample_count, MOST_ROWS);
    assert_true(fabs(e.perplexity - exp(e.loss)) < 1e-9 * e.perplexity && isnan(e.accuracy));
    return e.loss;
}

static void read_wte(struct plait_model *m, float *values)
{
    must(plait_model_param_read(m, "transformer.wte.weight", values, 64 * 32));
}

/* ---- runs ---- */

static void follows_pytorch(void **state)
{
    static float a[64 * 32], b[64 * 32];
    struct plait_model *saved;
    struct run r;
    double before, after;

    run_begin(&r, state, "run");
    before = evaluate(&r);
    must(train(&r));
    follow(&r, r.golden->loss, r.golden->norm);
    after = evaluate(&r);
    assert_true(after < before - 0.5);
    assert_string_equal(plait_model_directory(r.m), r.dir.text);
    must(plait_model_open(r.dir.text, NULL, &saved));
    read_wte(r.m, a);
    read_wte(saved, b);
    assert_memory_equal(a, b, sizeof(a));
    plait_model_free(saved);
    run_end(&r);
}

/* The layout is the one that the model was opened on; or is found. */
static void ranks_follow_too(void **state)
{
    static const char *const layouts[][5] = {
        { "data_parallel_size", "2", "tensor_parallel_size", "2", NULL },
        { "data_parallel_size", "2", "pipeline_parallel_size", "2", NULL },
        { "world_size", "2", NULL },
    };
    static const char *const names[] = { "run", "stages", "found" };
    struct plait_evaluation e = { .size = sizeof(e) };
    struct run r;

    for (int i = 0; i < 3; i++) {
        run_open(&r, state, names[i], "gpt2", layouts[i]);
        set(&r, "per_device_train_batch_size", "2");
        must(train(&r));
        follow(&r, r.golden->loss, r.golden->norm);
        must(plait_model_evaluate(r.m, NULL, &r.samples, NULL, &e));
        assert_true(e.loss < r.golden->loss[0]);
        run_end(&r);
    }
}

/* Labels of tokens that are hidden already; what a decoder writes. */
static void other_families_follow(void **state)
{
    static const char *const families[] = { "bert", "roberta", "t5" };
    struct plait_evaluation e = { .size = sizeof(e) };
    struct run r;

    for (int i = 0; i < 3; i++) {
        run_open(&r, state, families[i], families[i], NULL);
        r.samples.max_length = longest(r.golden);
        r.samples.count = r.golden->count;
        must(train(&r));
        follow(&r, r.golden->loss, r.golden->norm);
        must(plait_model_evaluate(r.m, NULL, &r.samples, NULL, &e));
        assert_true(e.loss < r.golden->loss[0] && e.accuracy > 0 && e.accuracy <= 1);
        run_end(&r);
    }
}

/* Rows without labels: tokens are hidden, and spans cut out, by the library. */
static void hides_by_itself(void **state)
{
    static const char *const families[] = { "bert", "t5" };
    struct run r;

    for (int i = 0; i < 2; i++) {
        run_open(&r, state, families[i], families[i], NULL);
        r.samples.max_length = longest(r.golden);
        r.samples.count = r.golden->count;
        for (int64_t k = 0; k < r.golden->count; k++)
            r.golden->rows[k].label_count = 0;
        refused(train(&r), PLAIT_ERROR_DATA,
                i == 0 ? "sample 0 has no labels" : "sample 0 has 0 tokens to write");
        set(&r, "overwrite_output_dir", "true");
        set(&r, i == 0 ? "tokenizer_name" : "objective",
            i == 0 ? GOLDEN_DIR "/bert/fill" : "span_corruption");
        must(train(&r));
        assert_int_equal(r.steps, STEPS);
        assert_true(r.loss[STEPS - 1] < r.loss[0]);
        run_end(&r);
    }
}

/* Stopped by the caller at step 11 and gone on: the same model, to the bit. */
static void stops_and_goes_on(void **state)
{
    static float a[64 * 32], b[64 * 32];
    struct run whole, parts;

    run_begin(&whole, state, "whole");
    must(train(&whole));
    run_begin(&parts, state, "parts");
    set(&parts, "resume_from_checkpoint", "auto");
    parts.samples.identity = "the rows";
    parts.stop_at = 11;
    refused(train(&parts), PLAIT_ERROR_STOPPED, "step 11 of 40");
    assert_string_equal(plait_model_directory(parts.m), MODEL);
    parts.stop_at = 0;
    parts.samples.identity = "other rows";
    refused(train(&parts), PLAIT_ERROR_CONFIG, "train_data is not that of the run");
    parts.samples.identity = "the rows";
    must(train(&parts));
    assert_int_equal(parts.steps, STEPS);
    assert_true(parts.loss[STEPS - 1] == whole.loss[STEPS - 1]);
    read_wte(whole.m, a);
    read_wte(parts.m, b);
    assert_memory_equal(a, b, sizeof(a));
    run_end(&whole);
    run_end(&parts);
}

static void time_runs_out(void **state)
{
    struct run r;

    run_begin(&r, state, "run");
    set(&r, "max_runtime", "0.000001");
    refused(train(&r), PLAIT_ERROR_STOPPED, "max_runtime is over");
    run_end(&r);
}

static void labels_of_the_callers(void **state)
{
    struct run r, all;

    run_begin(&all, state, "all");
    must(train(&all));
    run_begin(&r, state, "half");
    r.labelled = true;
    r.own.eval = &r.samples;
    set(&r, "eval_steps", "20");
    must(train(&r));
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
    struct plait_evaluation e = { .size = sizeof(e) };
    struct run r;

    run_begin(&r, state, "run");
    plait_model_free(r.m);
    must(plait_model_create("gpt2", options, &r.m));
    refused(plait_model_evaluate(r.m, NULL, &r.samples, NULL, &e), PLAIT_ERROR_USAGE, "in no files");
    set(&r, "seed", "8");
    refused(train(&r), PLAIT_ERROR_USAGE, "found 8, expected 7");
    set(&r, "seed", "7");
    must(train(&r));
    assert_true(fabs(r.loss[0] - log(64)) < 0.1);
    assert_true(r.loss[STEPS - 1] < r.loss[0] - 0.1);
    assert_true(evaluate(&r) < r.loss[0]);
    run_end(&r);
}

/* The program's way: everything is in options. */
static void files_and_frozen_parameters(void **state)
{
    static float before[64 * 32], after[64 * 32];
    const char *files[] = { "validation_file",
                            GOLDEN_DIR "/gpt2/train40/plain.jsonl",
                            "line_by_line",
                            "true",
                            "block_size",
                            "32",
                            NULL };
    struct plait_evaluation theirs = { .size = sizeof(theirs) };
    struct run r;

    run_begin(&r, state, "run");
    must(setenv("XDG_CACHE_HOME", *state, 1));
    r.own.train = NULL;
    set(&r, "train_file", files[1]);
    set(&r, "line_by_line", "true");
    set(&r, "block_size", "32");
    set(&r, "freeze", "wte");
    set(&r, "save_strategy", "no");
    read_wte(r.m, before);
    must(train(&r));
    read_wte(r.m, after);
    assert_memory_equal(before, after, sizeof(before));
    assert_true(fabs(r.loss[0] - r.golden->loss[0]) < 1e-3 && r.loss[STEPS - 1] < r.loss[0]);
    must(plait_model_evaluate(r.m, files, NULL, NULL, &theirs));
    r.samples.count = r.golden->count;
    assert_true(fabs(theirs.loss - evaluate(&r)) < 1e-6);
    run_end(&r);
}

/* ---- classification ---- */

enum { SENTENCES = 24, WORDS = 6 };

struct sentences {
    int64_t width; /* numbers of a label; 0: a class */
    double loss[200];
};

/* Class or numbers follow from the first word. */
static int read_sentence(void *context, int64_t index, struct plait_sample *s)
{
    const struct sentences *all = context;
    int64_t ids[WORDS + 2], mask[WORDS + 2] = { 1, 1, 1, 1, 1, 1 }, class = index % 3;
    int32_t types[WORDS + 2] = { 0, 0, 0, 1, 1, 1 };
    float numbers[3] = { class == 0 ? 1 : 0, class == 1 ? 1 : -1, (float)class };

    for (int64_t i = 0; i < WORDS + 2; i++)
        ids[i] = i == 0 ? 5 + class : 10 + (index * 7 + i * 3) % 20;
    plait_sample_set(s, &(struct plait_array){ "input_ids", PLAIT_INT64, 1, { WORDS + 2 }, ids });
    plait_sample_set(s, &(struct plait_array){ "attention_mask", PLAIT_INT64, 1, { WORDS + 2 }, mask });
    plait_sample_set(s, &(struct plait_array){ "token_type_ids", PLAIT_INT32, 1, { WORDS + 2 }, types });
    if (all->width > 0)
        plait_sample_set(s, &(struct plait_array){ "labels", PLAIT_FLOAT32, 1, { all->width }, numbers });
    else
        plait_sample_set(s, &(struct plait_array){ "labels", PLAIT_INT64, 0, { 0 }, &class });
    return 0;
}

static int note_loss(void *context, const struct plait_train_progress *p)
{
    struct sentences *all = context;

    all->loss[p->step - 1] = p->loss;
    return 0;
}

/* A new head on a trunk that is there: of three classes, of numbers, of several labels at once. */
static void classifies(void **state)
{
    static const char *const overrides[] = { "num_labels=3", "num_labels=1,problem_type=regression",
                                             "num_labels=3,problem_type=multi_label_classification" };
    static const int64_t widths[] = { 0, 1, 3 };
    const char *options[] = { "output_dir",
                              NULL,
                              "objective",
                              "classification",
                              "max_steps",
                              "60",
                              "learning_rate",
                              "0.02",
                              "logging_steps",
                              "1",
                              "num_train_epochs",
                              "30",
                              NULL };

    must(plait_log_set(PLAIT_LOG_ERROR));
    for (int i = 0; i < 3; i++) {
        struct sentences all = { .width = widths[i] };
        struct plait_samples samples = { .size = sizeof(samples),
                                         .count = SENTENCES,
                                         .max_length = WORDS + 2,
                                         .read = read_sentence,
                                         .context = &all };
        struct plait_training own = {
            .size = sizeof(own), .train = &samples, .progress = note_loss, .context = &all
        };
        struct plait_evaluation e = { .size = sizeof(e) };
        struct plait_model *m;
        struct path p;
        options[1] = within(state, overrides[i], &p);
        must(plait_model_open(GOLDEN_DIR "/bert/plain",
                              (const char *[]){ "config_overrides", overrides[i], NULL }, &m));
        must(plait_model_train(m, options, &own));
        assert_string_equal(plait_model_class(m), "BertForSequenceClassification");
        assert_true(all.loss[59] < 0.5 * all.loss[0]);
        must(plait_model_evaluate(m, NULL, &samples, NULL, &e));
        assert_int_equal(e.label_count, SENTENCES);
        assert_true(i > 0 ? isnan(e.accuracy) || e.accuracy > 0 : e.accuracy > 0.9);
        assert_true(isnan(e.perplexity));
        plait_model_free(m);
    }
}

/* ---- misuse ---- */

static void refuses_samples(void **state)
{
    struct plait_samples empty = { .size = sizeof(empty) };
    struct plait_evaluation e = { .size = sizeof(e) };
    struct run r;

    run_begin(&r, state, "run");
    refused(plait_model_train(NULL, r.options, &r.own), PLAIT_ERROR_USAGE, "m is NULL");
    r.own.size--;
    refused(train(&r), PLAIT_ERROR_USAGE, "wrong size");
    r.own.size++;
    r.own.train = &empty;
    refused(train(&r), PLAIT_ERROR_USAGE, "read is NULL");
    empty = r.samples;
    empty.max_length = 33;
    refused(train(&r), PLAIT_ERROR_USAGE, "at most the model's 32");
    empty.max_length = 32;
    empty.target_width = -1;
    refused(train(&r), PLAIT_ERROR_USAGE, "target_width");
    r.own.train = &r.samples;
    r.fail_at = 5;
    refused(train(&r), PLAIT_ERROR_DATA, "sample 5: the caller's read failed");
    refused(plait_model_evaluate(r.m, NULL, &r.samples, NULL, &e), PLAIT_ERROR_DATA, "sample 5");
    refused(plait_model_evaluate(r.m, NULL, &r.samples, NULL, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    e.size = 0;
    refused(plait_model_evaluate(r.m, NULL, &r.samples, NULL, &e), PLAIT_ERROR_USAGE, "wrong size");
    refused(plait_sample_set(NULL, NULL), PLAIT_ERROR_USAGE, "sample is NULL");
    run_end(&r);
}

/* An array that is wrong, whatever `read` returns. */
static int read_wrong(void *context, int64_t index, struct plait_sample *s)
{
    static const int32_t ids[] = { 1, 2, 3, 64, -100, 5 };
    static const int64_t wide[] = { 1, INT64_MAX };
    static const int32_t mask[] = { 1, 0, 1 };
    struct plait_array a = { "input_ids", PLAIT_INT32, 1, { 3 }, ids };

    switch (*(const int *)context) {
    case 0: a.shape[0] = 0; break;
    case 1: a.type = PLAIT_FLOAT32; break;
    case 2: a.shape[0] = 4; break;
    case 3: a = (struct plait_array){ "input_ids", PLAIT_INT64, 1, { 2 }, wide }; break;
    case 4: a.name = "inputs"; break;
    case 5: a.name = "position_ids"; break;
    case 6: return 0;
    case 7:
        plait_sample_set(s, &a);
        a.name = "labels";
        a.shape[0] = 2;
        break;
    case 8:
        plait_sample_set(s, &a);
        a.name = "targets";
        break;
    case 9:
        plait_sample_set(s, &a);
        a = (struct plait_array){ "attention_mask", PLAIT_INT32, 1, { 3 }, mask };
        break;
    default: break;
    }
    plait_sample_set(s, &a);
    (void)index;
    return 0;
}

static void refuses_arrays(void **state)
{
    static const char *const words[] = {
        "wrong number of elements (found 0",
        "input_ids: elements are float32",
        "token 3 is 64",
        "element 1 is 9223372036854775807",
        "inputs: samples have no such input",
        "position_ids: samples have no such input",
        "has 0 tokens",
        "labels has not as many elements as its tokens (found 2, expected 3)",
        "targets: nobody asks for them",
        "1 after a 0"
    };
    struct run r;

    run_begin(&r, state, "run");
    r.samples.read = read_wrong;
    for (int i = 0; i < 10; i++) {
        r.samples.context = &i;
        set(&r, "overwrite_output_dir", "true");
        refused(train(&r), PLAIT_ERROR_DATA, words[i]);
    }
    run_end(&r);
}

static void refuses_options(void **state)
{
    static const char *const cases[][3] = {
        { "learning_rate", "-1", "learning_rate" },
        { "lr_scheduler_type", "sawtooth", "sawtooth" },
        { "no_such", "1", "unknown option" },
        { "model_name_or_path", "gpt2", "unknown option" },
        { "dry_run", "true", "it trains" },
        { "do_train", "false", "it trains" },
        { "train_file", "x.txt", "no files (found --train_file)" },
        { "do_eval", "true", "no samples to evaluate" },
    };
    struct run r;

    run_begin(&r, state, "run");
    r.options[0] = NULL;
    refused(train(&r), PLAIT_ERROR_USAGE, "--output_dir is missing");
    run_end(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_begin(&r, state, "run");
        set(&r, cases[i][0], cases[i][1]);
        refused(train(&r), PLAIT_ERROR_USAGE, cases[i][2]);
        run_end(&r);
    }
    run_begin(&r, state, "run");
    set(&r, "objective", "mlm");
    refused(train(&r), PLAIT_ERROR_CONFIG, "objective mlm");
    r.own.train = NULL;
    refused(train(&r), PLAIT_ERROR_USAGE, "dataset name or a training/validation file");
    run_end(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(follows_pytorch),
        TEST(ranks_follow_too),
        TEST(other_families_follow),
        TEST(hides_by_itself),
        TEST(stops_and_goes_on),
        TEST(time_runs_out),
        TEST(labels_of_the_callers),
        TEST(trains_a_new_model),
        TEST(files_and_frozen_parameters),
        TEST(classifies),
        TEST(refuses_samples),
        TEST(refuses_arrays),
        TEST(refuses_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
