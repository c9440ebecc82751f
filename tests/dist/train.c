/* Training on meshes of in-process ranks: the 40 stored steps follow PyTorch's; with dropout, and with every
 * parameter and scope renamed, all meshes give one curve. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "cpu/machine.h"
#include "lib/gpt2_case.h"

#include <cmocka.h>

enum { STEPS = 40, LENGTH = 32, BATCH = 4 };

struct curve {
    double loss[STEPS], norm[STEPS];
};

struct run {
    const char *family;
    char model[512];
    const char *name; /* of the curve in expected.json and, for data, of the file */
    int accumulate;
    double max_norm;
    struct mesh mesh;
    struct config config;
    struct plan *plan;
    int32_t ids[STEPS * BATCH * 2][LENGTH], labels[STEPS * BATCH * 2][LENGTH];
    int rows;
    struct curve curve;
};

static void must(int status)
{
    if (status != OK)
        fail_msg("%s", error_message());
}

/* ---- Data ---- */

static void read_row(struct run *r, const char *line, size_t length)
{
    struct json_reader j;
    struct json_string key;
    bool labelled = false;

    json_reader_init(&j, r->name, line, length);
    json_object_begin(&j);
    while (json_next_key(&j, &key)) {
        bool labels = json_key_is(&j, "labels");
        int i = 0;
        json_array_begin(&j);
        while (json_next_element(&j))
            (labels ? r->labels : r->ids)[r->rows][i++] = (int32_t)json_int(&j, -100, 1 << 20);
        labelled = labelled || labels;
    }
    must(json_end(&j));
    json_reader_release(&j);
    if (!labelled)
        memcpy(r->labels[r->rows], r->ids[r->rows], sizeof(r->ids[0]));
    r->rows++;
}

static void read_data(struct run *r, const char *file)
{
    struct str text;
    char path[512], *save, *line;

    str_init(&text);
    snprintf(path, sizeof(path), GOLDEN_DIR "/gpt2/train40/%s", file);
    must(file_read(path, 0, &text));
    for (line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        read_row(r, line, strlen(line));
    str_release(&text);
}

/* ---- Steps ---- */

static double learning_rate(int step) /* from 0: linear, 5 steps of warm-up, 40 in all */
{
    return 0.01 * (step < 5 ? step / 5.0 : (40.0 - step) / 35.0);
}

static void fill_batch(const struct run *r, struct batch *b, int step, int microbatch, int dp)
{
    int each = BATCH / r->mesh.size[AXIS_DP];

    batch_clear(b);
    for (int i = 0; i < each; i++) {
        int sample = microbatch * BATCH + dp * each + i, row = step * BATCH * r->accumulate + sample;
        batch_add_causal(b, r->ids[row % r->rows], r->labels[row % r->rows], LENGTH, sample, LENGTH);
    }
}

static int train(void *context, int rank, struct comm *comm)
{
    struct run *r = context;
    struct store *store = store_create();
    struct executor *e;
    struct batch b;
    double *settings, *label_count;

    TRY(executor_create(r->plan, store, comm, rank, &e));
    TRY(case_fill_store(store, r->model));
    batch_init(&b, &(struct batch_capacity){ .rows = BATCH * LENGTH, .sequences = BATCH });
    settings = executor_input(e, "settings");
    label_count = executor_input(e, "label_count");
    for (int step = 0; step < STEPS; step++) {
        struct run_options o = { .seed = 7, .step = (uint64_t)step };
        *label_count = 0;
        for (int m = 0; m < r->accumulate; m++) {
            fill_batch(r, &b, step, m, mesh_coordinate(&r->mesh, rank, AXIS_DP));
            *label_count += (double)b.label_count;
            o.first_microbatch = m == 0;
            executor_set_batch(e, &b);
            TRY(executor_run(e, PROGRAM_MICROBATCH, &o));
        }
        settings[SETTING_LEARNING_RATE] = learning_rate(step);
        settings[SETTING_STEP] = step + 1;
        settings[SETTING_MAX_NORM] = r->max_norm;
        TRY(executor_run(e, PROGRAM_UPDATE, &o));
        if (rank == 0) {
            const double *control = executor_view(e, r->plan->control).data;
            r->curve.loss[step] = control[CONTROL_LOSS];
            r->curve.norm[step] = control[CONTROL_GRAD_NORM];
        }
    }
    batch_release(&b);
    executor_free(e);
    store_free(store);
    return OK;
}

static void run_curve(struct run *r, const char *overrides)
{
    struct compile_options o = {
        .task = TASK_TRAIN, .optimizer = { .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.1 }
    };
    struct machine machine;

    o.mesh = r->mesh;
    o.cluster = case_fast_links;
    o.sequences = BATCH / r->mesh.size[AXIS_DP];
    o.rows = o.labels = o.sequences * LENGTH;
    snprintf(r->model, sizeof(r->model), GOLDEN_DIR "/%s/train40/model", r->family);
    must(config_load(&r->config, r->model));
    must(config_override(&r->config, overrides));
    must(machine_detect(&machine));
    must(plan_compile(&r->config, &o, &machine, &r->plan));
    must(comm_local_run(&r->mesh, 1, train, r));
    plan_free(r->plan);
    config_release(&r->config);
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

static const struct mesh meshes[] = { { { 1, 1 } }, { { 2, 1 } }, { { 1, 2 } },
                                      { { 2, 2 } }, { { 4, 1 } }, { { 1, 4 } } };
enum { MESHES = sizeof(meshes) / sizeof(meshes[0]) };

static void follow_expected(const struct run *like, const char *file)
{
    struct curve expected;

    read_expected(like->family, like->name, &expected);
    for (int m = 0; m < MESHES; m++) {
        struct run *r = mem_alloc(sizeof(*r));
        char what[80];
        *r = *like;
        r->mesh = meshes[m];
        read_data(r, file);
        run_curve(r, "");
        snprintf(what, sizeof(what), "%s %s dp %d tp %d", r->family, r->name, r->mesh.size[AXIS_DP],
                 r->mesh.size[AXIS_TP]);
        compare(what, &r->curve, &expected, 2e-3, 2e-2);
        mem_free(r);
    }
}

static void follows_pytorch(void **state)
{
    static const char *const families[] = { "gpt2", "gpt_neo", "llama" };

    (void)state;
    for (int f = 0; f < 3; f++)
        follow_expected(
            &(struct run){ .family = families[f], .name = "plain", .accumulate = 1, .max_norm = 1.0 },
            "plain.jsonl");
}

static void follows_pytorch_with_accumulation(void **state)
{
    (void)state;
    follow_expected(&(struct run){ .family = "gpt2", .name = "accumulate", .accumulate = 2, .max_norm = 1.5 },
                    "labelled.jsonl");
}

static void one_curve(const char *family, const char *overrides)
{
    struct curve first = { 0 };

    for (int m = 0; m < MESHES; m++) {
        struct run *r = mem_alloc(sizeof(*r));
        char what[80];
        r->family = family;
        r->name = "dropout";
        r->accumulate = 1;
        r->max_norm = 1.0;
        r->mesh = meshes[m];
        read_data(r, "plain.jsonl");
        run_curve(r, overrides);
        if (m == 0)
            first = r->curve;
        snprintf(what, sizeof(what), "%s with dropout dp %d tp %d", family, r->mesh.size[AXIS_DP],
                 r->mesh.size[AXIS_TP]);
        compare(what, &r->curve, &first, 1e-4, 1e-3);
        mem_free(r);
    }
}

static void one_curve_with_dropout(void **state)
{
    (void)state;
    one_curve("gpt2", "resid_pdrop=0.1,embd_pdrop=0.1,attn_pdrop=0.1");
    one_curve("gpt_neo", "resid_dropout=0.1,embed_dropout=0.1,attention_dropout=0.1");
    one_curve("llama", "attention_dropout=0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_pytorch),
        cmocka_unit_test(follows_pytorch_with_accumulation),
        cmocka_unit_test(one_curve_with_dropout),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
