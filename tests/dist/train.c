/* Training on meshes of in-process ranks: the 40 stored steps follow PyTorch's, in bfloat16 nearly; with
 * dropout all meshes give one curve. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "cpu/machine.h"
#include "data/loader.h"
#include "lib/golden_case.h"
#include "train/objective_choice.h"

#include <cmocka.h>

enum { STEPS = 40, LENGTH = 32, BATCH = 4, MOST_ROWS = 160, CLASSES = 3 };

struct course {
    const char *family, *rows;
    const char *curve; /* of expected.json; NULL: only compared with itself */
    const char *dropout;
    enum objective_kind objective;
    int accumulate;
    double max_norm, rate;
};

static const struct course courses[] = {
    { "gpt2", "gpt2/train40/plain.jsonl", "plain", "resid_pdrop=0.1,embd_pdrop=0.1,attn_pdrop=0.1",
      OBJECTIVE_CLM, 1, 1.0, 0.01 },
    { "gpt2", "gpt2/train40/labelled.jsonl", "accumulate", NULL, OBJECTIVE_CLM, 2, 1.5, 0.01 },
    { "gpt_neo", "gpt2/train40/plain.jsonl", "plain",
      "resid_dropout=0.1,embed_dropout=0.1,attention_dropout=0.1", OBJECTIVE_CLM, 1, 1.0, 0.01 },
    { "llama", "gpt2/train40/plain.jsonl", "plain", "attention_dropout=0.1", OBJECTIVE_CLM, 1, 1.0, 0.01 },
    { "bert", "bert/train40/rows.jsonl", "plain", "hidden_dropout_prob=0.1,attention_probs_dropout_prob=0.1",
      OBJECTIVE_MLM, 1, 1.0, 0.01 },
    { "roberta", "roberta/train40/rows.jsonl", "plain",
      "hidden_dropout_prob=0.1,attention_probs_dropout_prob=0.1", OBJECTIVE_MLM, 1, 1.0, 0.01 },
    { "t5", "t5/train40/rows.jsonl", "plain", "dropout_rate=0.1", OBJECTIVE_SEQ2SEQ, 1, 1.0, 0.01 },
    { "bert", "bert/train40/rows.jsonl", NULL, "hidden_dropout_prob=0.1,classifier_dropout=0.2",
      OBJECTIVE_CLASSIFICATION, 1, 1.0, 0.003 },
    { "roberta", "roberta/train40/rows.jsonl", NULL, "hidden_dropout_prob=0.1,classifier_dropout=0.2",
      OBJECTIVE_CLASSIFICATION, 2, 1.0, 0.003 },
};
enum { COURSES = sizeof(courses) / sizeof(courses[0]) };

struct curve {
    double loss[STEPS], norm[STEPS];
};

struct row {
    int32_t ids[LENGTH], labels[LENGTH];
    int64_t length, label_count;
};

struct run {
    const struct course *course;
    struct mesh mesh;
    enum dtype dtype;
    bool dropout;
    struct model model;
    struct plan *plan;
    struct row *rows;
    int64_t row_count;
    struct sample_source source;
    struct loader_options order;
    struct curve curve;
};

/* ---- Data ---- */

static void read_row(struct run *r, const char *line)
{
    struct row *row = &r->rows[r->row_count++];
    struct json_reader j;
    struct json_string key;

    assert_true(r->row_count <= MOST_ROWS);
    json_reader_init(&j, r->course->rows, line, strlen(line));
    json_object_begin(&j);
    while (json_next_key(&j, &key)) {
        bool labels = json_key_is(&j, "labels");
        int64_t n = 0;
        json_array_begin(&j);
        while (json_next_element(&j)) {
            assert_true(n < LENGTH);
            (labels ? row->labels : row->ids)[n++] = (int32_t)json_int(&j, -100, 1 << 20);
        }
        *(labels ? &row->label_count : &row->length) = n;
    }
    must(json_end(&j));
    json_reader_release(&j);
}

static void read_rows(struct run *r)
{
    struct str text;
    char path[512], *save, *line;

    r->rows = mem_alloc_array(MOST_ROWS, sizeof(r->rows[0]));
    str_init(&text);
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s", r->course->rows);
    must(file_read(path, 0, &text));
    for (line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        read_row(r, line);
    str_release(&text);
}

/* The class is told by a token. */
static int sample_of(void *context, int64_t index, struct sample *s)
{
    const struct run *r = context;
    const struct row *row = &r->rows[index];
    bool target = r->course->objective == OBJECTIVE_SEQ2SEQ;

    s->length = row->length;
    memcpy(s->ids, row->ids, sizeof(row->ids));
    s->labelled = row->label_count > 0 && !target;
    s->target_length = target ? row->label_count : 0;
    if (row->label_count > 0)
        memcpy(target ? s->target : s->labels, row->labels, sizeof(row->labels));
    s->class = row->ids[2] % CLASSES;
    return OK;
}

static void set_order(struct run *r)
{
    const struct config *c = &r->model.config;
    int dp = mesh_size(&r->mesh, AXIS_DP);

    r->source = (struct sample_source){
        .count = r->row_count, .max_length = LENGTH, .max_target = LENGTH, .read = sample_of, .context = r
    };
    if (r->course->objective != OBJECTIVE_SEQ2SEQ)
        r->source.max_target = 0;
    r->order = (struct loader_options){ .microbatch = BATCH / dp,
                                        .accumulation = r->course->accumulate,
                                        .dp = dp,
                                        .no_shuffle = true,
                                        .objective = { .kind = r->course->objective,
                                                       .encoder = config_has_encoder(c),
                                                       .classes = CLASSES,
                                                       .decoder_start = (int32_t)c->decoder_start,
                                                       .first_position = c->sizes.first_position } };
}

/* ---- Steps ---- */

static double learning_rate(const struct run *r, int step) /* from 0: linear, 5 steps of warm-up, 40 in all */
{
    return r->course->rate * (step < 5 ? step / 5.0 : (40.0 - step) / 35.0);
}

struct worker {
    struct run *r;
    struct executor *e;
    struct loader loader;
    struct batch batch;
    int rank;
};

static int take_step(struct worker *w, int step)
{
    struct run *r = w->r;
    struct run_options o = { .seed = 7, .step = (uint64_t)step };
    double *settings = executor_input(w->e, "settings"), *count = executor_input(w->e, "label_count");

    *count = 0;
    for (int m = 0; m < r->course->accumulate; m++) {
        TRY(loader_fill(&w->loader, step, m, mesh_coordinate(&r->mesh, w->rank, AXIS_DP), &w->batch));
        *count += (double)w->batch.label_count;
        o.first_microbatch = m == 0;
        o.last_microbatch = m == r->course->accumulate - 1;
        executor_set_batch(w->e, &w->batch);
        TRY(executor_run(w->e, PROGRAM_MICROBATCH, &o));
    }
    settings[SETTING_LEARNING_RATE] = learning_rate(r, step);
    settings[SETTING_STEP] = step + 1;
    settings[SETTING_MAX_NORM] = r->course->max_norm;
    TRY(executor_run(w->e, PROGRAM_UPDATE, &o));
    if (w->rank == 0) {
        const double *control = executor_view(w->e, r->plan->control).data;
        r->curve.loss[step] = control[CONTROL_LOSS];
        r->curve.norm[step] = control[CONTROL_GRAD_NORM];
    }
    return OK;
}

static int train(void *context, int rank, struct comm *comm)
{
    struct worker w = { .r = context, .rank = rank };
    struct store *store = store_create();

    TRY(executor_create(w.r->plan, store, comm, rank, &w.e));
    TRY(model_fill_store(&w.r->model, store));
    TRY(loader_init(&w.loader, &w.r->source, &w.r->order));
    loader_batch_init(&w.loader, &w.batch);
    for (int step = 0; step < STEPS; step++)
        TRY(take_step(&w, step));
    batch_release(&w.batch);
    loader_release(&w.loader);
    executor_free(w.e);
    store_free(store);
    return OK;
}

static int adapt(void *context, struct config *c, bool trained)
{
    const struct run *r = context;

    (void)trained;
    TRY(objective_set_head(r->course->objective, c));
    return r->course->objective == OBJECTIVE_CLASSIFICATION ? config_set_int(c, "num_labels", CLASSES) : OK;
}

static void open_model(struct run *r)
{
    struct model_options o = { .adapt = adapt, .context = r, .new_head = true, .seed = 3 };
    char path[512];

    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/train40/model", r->course->family);
    o.name = path;
    o.overrides = r->dropout ? r->course->dropout : NULL;
    must(model_open(&r->model, &o));
}

static void run_curve(struct run *r)
{
    struct compile_options o = { .task = TASK_TRAIN, .mesh = r->mesh, .dtype = r->dtype };
    struct machine machine;
    bool encoder;

    open_model(r);
    encoder = config_has_encoder(&r->model.config);
    o.optimizer = (struct optimizer_options){ .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.1 };
    o.cluster = case_fast_links;
    o.sequences = BATCH / mesh_size(&r->mesh, AXIS_DP);
    o.rows = o.labels = o.sequences * LENGTH;
    o.encoder_rows = encoder ? o.rows : 0;
    must(machine_detect(&machine));
    must(plan_compile(&r->model.config, &o, &machine, &r->plan));
    read_rows(r);
    set_order(r);
    must(comm_local_run(&r->mesh, 1, train, r));
    mem_free(r->rows);
    plan_free(r->plan);
    model_close(&r->model);
}

/* ---- Expectations ---- */

static void read_numbers(struct json_reader *j, double out[])
{
    int i = 0;

    json_array_begin(j);
    while (json_next_element(j))
        out[i++] = json_double(j);
}

static void read_expected(const char *family, const char *name, struct curve *c)
{
    char path[512];
    struct json_reader j;
    struct json_string key;
    struct str text;

    str_init(&text);
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/train40/expected.json", family);
    must(file_read(path, 0, &text));
    json_reader_init(&j, "expected.json", text.data, text.length);
    json_object_begin(&j);
    while (json_next_key(&j, &key)) {
        if (!json_key_is(&j, name)) {
            json_skip(&j);
            continue;
        }
        json_object_begin(&j);
        while (json_next_key(&j, &key)) {
            if (json_key_is(&j, "loss"))
                read_numbers(&j, c->loss);
            else if (json_key_is(&j, "grad_norm"))
                read_numbers(&j, c->norm);
            else
                json_skip(&j);
        }
    }
    must(json_end(&j));
    json_reader_release(&j);
    str_release(&text);
}

static void compare(const char *what, const struct curve *a, const struct curve *b, double loss, double norm)
{
    for (int i = 0; i < STEPS; i++) {
        if (!(fabs(a->loss[i] - b->loss[i]) <= loss * fabs(b->loss[i])))
            fail_msg("%s: loss of step %d is %.8f, expected %.8f", what, i + 1, a->loss[i], b->loss[i]);
        if (!(fabs(a->norm[i] - b->norm[i]) <= norm * fabs(b->norm[i])))
            fail_msg("%s: gradient norm of step %d is %.8f, expected %.8f", what, i + 1, a->norm[i],
                     b->norm[i]);
    }
}

static void describe(const struct run *r, char out[120])
{
    snprintf(out, 120, "%s, %s%s%s, dp %d, tp %d", r->course->family, objective_names[r->course->objective],
             r->dropout ? ", dropout" : "", r->dtype == DT_BF16 ? ", bfloat16" : "",
             mesh_size(&r->mesh, AXIS_DP), mesh_size(&r->mesh, AXIS_TP));
}

static const struct mesh meshes[] = { { { 1, 1 } }, { { 2, 1 } }, { { 1, 2 } },
                                      { { 2, 2 } }, { { 4, 1 } }, { { 1, 4 } } };
enum { MESHES = sizeof(meshes) / sizeof(meshes[0]) };

static void follow(const struct run *like, const struct curve *expected, double loss, double norm)
{
    struct run r = *like;
    char what[120];

    run_curve(&r);
    describe(&r, what);
    compare(what, &r.curve, expected, loss, norm);
}

/* Under a sanitizer every third mesh. */
static int stride(void)
{
    return getenv("PLAIT_SANITIZE") ? 3 : 1;
}

static void follows_pytorch(void **state)
{
    struct curve expected;

    (void)state;
    for (int c = 0; c < COURSES; c++) {
        if (!courses[c].curve)
            continue;
        read_expected(courses[c].family, courses[c].curve, &expected);
        for (int m = 0; m < MESHES; m += stride())
            follow(&(struct run){ .course = &courses[c], .mesh = meshes[m] }, &expected, 2e-3, 2e-2);
    }
}

static void bfloat16_follows_nearly(void **state)
{
    struct curve expected;

    (void)state;
    for (int c = 0; c < COURSES; c++) {
        if (!courses[c].curve)
            continue;
        read_expected(courses[c].family, courses[c].curve, &expected);
        for (int m = 0; m < MESHES; m += 3)
            follow(&(struct run){ .course = &courses[c], .mesh = meshes[m], .dtype = DT_BF16 }, &expected,
                   2e-2, 2e-1);
    }
}

static void one_curve_with_dropout(void **state)
{
    (void)state;
    for (int c = 0; c < COURSES; c++) {
        struct run first = { .course = &courses[c], .mesh = meshes[0], .dropout = true };
        if (!courses[c].dropout)
            continue;
        run_curve(&first);
        for (int m = 1; m < MESHES; m += stride())
            follow(&(struct run){ .course = &courses[c], .mesh = meshes[m], .dropout = true }, &first.curve,
                   1e-4, 1e-3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_pytorch),
        cmocka_unit_test(bfloat16_follows_nearly),
        cmocka_unit_test(one_curve_with_dropout),
    };

    log_set_level(LOG_ERROR); /* that a class has a new head is no news */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
