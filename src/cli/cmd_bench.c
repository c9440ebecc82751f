/* plait bench -- whole training steps on this machine: tokens per second, the share of each op, peak memory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/parallel.h"
#include "ckpt/hf.h"
#include "cli/bench_data.h"
#include "cli/cli.h"
#include "cpu/machine.h"

struct values {
    struct {
        const char *model, *overrides;
        int64_t batch, length, target_length, steps, seed;
        double padding;
        bool json, profile;
        int objective, recompute, dtype;
    } own;
};

#define OWN(member) offsetof(struct values, own.member) - offsetof(struct values, own)

/* As enum recompute. */
static const char *const recomputes[] = { "selective", "none", "full", NULL };

static const char *const dtypes[] = { "float32", "bfloat16", NULL };

static const struct option own_options[] = {
    { "model", OPTION_STRING, OWN(model), "gpt2", "directory, built-in config, or name in a cache of the hub",
      .aliases = (const char *const[]){ "config_name", NULL } },
    { "config_overrides", OPTION_STRING, OWN(overrides), NULL, "k=v,...: changes to the config" },
    { "objective", OPTION_CHOICE, OWN(objective), NULL,
      "what is learned; without it what the model's class is for", .choices = objective_names },
    { "batch", OPTION_INT, OWN(batch), "2", "samples of a step", 1, 1 << 20,
      .aliases = (const char *const[]){ "per_device_train_batch_size", NULL } },
    { "seq", OPTION_INT, OWN(length), "512", "tokens of a sample, as the model or its encoder reads it", 1,
      1 << 20, .aliases = (const char *const[]){ "block_size", NULL } },
    { "target_seq", OPTION_INT, OWN(target_length), "128", "objective seq2seq: tokens of a target", 1,
      1 << 20 },
    { "pad_fraction", OPTION_DOUBLE, OWN(padding), "0",
      "samples shorter than --seq, by this share of the tokens of all", 0, 0.99 },
    { "steps", OPTION_INT, OWN(steps), "8", "steps that are timed, after two that are not", 1, 1 << 20 },
    { "seed", OPTION_INT, OWN(seed), "42", "of weights and tokens", 0, 1e15 },
    { "recompute", OPTION_CHOICE, OWN(recompute), "selective", "what is made again in the backward pass",
      .choices = recomputes },
    { "dtype", OPTION_CHOICE, OWN(dtype), "float32", "of values that wait for the backward pass",
      .choices = dtypes, .aliases = (const char *const[]){ "bf16=bfloat16", NULL } },
    { "json", OPTION_BOOL, OWN(json), "false", "one JSON object instead of a table" },
    { "profile", OPTION_BOOL, OWN(profile), "false", "also the time of each op, on standard error" },
    { 0 },
};

static const struct option_part parts[] = {
    { "What to measure", own_options, offsetof(struct values, own) },
    { 0 },
};

struct bench {
    const struct values *v;
    struct config config;
    struct machine machine;
    struct plan *plan;
    struct store *store;
    struct executor *e;
    struct bench_data data;
    double *seconds;    /* [steps] */
    double cpu_seconds; /* of a step, all threads together: what is left to compare on a busy machine */
    double cpu_share;   /* of the processors' time that the threads got */
};

static int prepare(struct bench *b)
{
    const struct values *v = b->v;
    struct compile_options o = { .task = TASK_TRAIN,
                                 .mesh = { { 1, 1 } },
                                 .recompute = (enum recompute)v->own.recompute,
                                 .dtype = v->own.dtype ? DT_BF16 : DT_F32,
                                 .optimizer = {
                                     .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01 } };
    const struct bench_data_options d = { .objective = v->own.objective,
                                          .samples = v->own.batch,
                                          .length = v->own.length,
                                          .target_length = v->own.target_length,
                                          .padding = v->own.padding,
                                          .seed = (uint64_t)v->own.seed };
    double *settings;

    TRY(bench_data_init(&b->data, &b->config, &d));
    bench_data_capacity(&b->data, &o);
    TRY(machine_detect(&b->machine));
    TRY(plan_compile(&b->config, &o, &b->machine, &b->plan));
    b->store = store_create();
    TRY(executor_create(b->plan, b->store, NULL, 0, &b->e));
    model_init_store(b->store, (uint64_t)v->own.seed);
    executor_set_batch(b->e, &b->data.batch);
    *(double *)executor_input(b->e, "label_count") = (double)b->data.batch.label_count;
    settings = executor_input(b->e, "settings");
    settings[SETTING_LEARNING_RATE] = 1e-4;
    settings[SETTING_MAX_NORM] = 1;
    return OK;
}

static int run_step(struct bench *b, int64_t step)
{
    struct run_options o = {
        .seed = 1, .step = (uint64_t)step, .first_microbatch = true, .last_microbatch = true
    };

    ((double *)executor_input(b->e, "settings"))[SETTING_STEP] = (double)(step + 1);
    TRY(executor_run(b->e, PROGRAM_MICROBATCH, &o));
    return executor_run(b->e, PROGRAM_UPDATE, &o);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int measure(struct bench *b)
{
    enum { WARM_UP = 2 };
    int64_t steps = b->v->own.steps;
    double begun = 0;
    clock_t cpu = 0;

    b->seconds = mem_alloc_array((size_t)steps, sizeof(b->seconds[0]));
    for (int64_t i = 0; i < WARM_UP + steps; i++) {
        double start = clock_seconds();
        if (i == WARM_UP) {
            executor_profile(b->e, b->v->own.profile);
            begun = start;
            cpu = clock();
        }
        TRY(run_step(b, i));
        if (i >= WARM_UP)
            b->seconds[i - WARM_UP] = clock_seconds() - start;
    }
    b->cpu_seconds = (double)(clock() - cpu) / CLOCKS_PER_SEC / (double)steps;
    b->cpu_share = b->cpu_seconds * (double)steps / (clock_seconds() - begun) / parallel_threads();
    qsort(b->seconds, (size_t)steps, sizeof(b->seconds[0]), by_value);
    return OK;
}

static double tokens_per_second(const struct bench *b, double seconds)
{
    return (double)bench_data_rows(&b->data) / seconds;
}

static void write_shape(const struct bench *b, struct json_writer *w)
{
    const struct values *v = b->v;

    json_write_member_string(w, "program", "plait");
    json_write_member_string(w, "model", v->own.model);
    json_write_member_string(w, "objective", objective_names[b->data.loader.options.objective.kind]);
    json_write_member_int(w, "batch", v->own.batch);
    json_write_member_int(w, "seq", v->own.length);
    json_write_key(w, "pad_fraction");
    json_write_double(w, v->own.padding);
    json_write_member_int(w, "encoder_tokens", b->data.batch.encoder.count);
    json_write_member_int(w, "tokens", b->data.batch.rows.count);
    json_write_member_int(w, "labels", b->data.batch.label_count);
    json_write_member_string(w, "recompute", recomputes[v->own.recompute]);
    json_write_member_string(w, "dtype", dtypes[v->own.dtype]);
    json_write_member_int(w, "threads", parallel_threads());
}

/* Keys as bench/peer.py writes them. */
static void print_json(const struct bench *b, double median, double loss, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, 0);
    json_write_object_begin(&w);
    write_shape(b, &w);
    json_write_key(&w, "tokens_per_second");
    json_write_double(&w, tokens_per_second(b, median));
    json_write_key(&w, "step_ms");
    json_write_double(&w, 1e3 * median);
    json_write_key(&w, "fastest_step_ms");
    json_write_double(&w, 1e3 * b->seconds[0]);
    json_write_key(&w, "cpu_ms");
    json_write_double(&w, 1e3 * b->cpu_seconds);
    json_write_key(&w, "cpu_share");
    json_write_double(&w, b->cpu_share);
    json_write_member_int(&w, "peak_rss_bytes", (int64_t)mem_peak_resident());
    json_write_member_int(&w, "planned_bytes", plan_bytes(b->plan));
    json_write_key(&w, "loss");
    json_write_double(&w, loss);
    json_write_object_end(&w);
    str_append(out, "\n");
}

static void print_table(const struct bench *b, double median, double loss, struct str *out)
{
    const struct values *v = b->v;
    const struct batch *batch = &b->data.batch;

    str_appendf(out, "%s, %s, batch %" PRId64 ", %" PRId64 " tokens", v->own.model,
                objective_names[b->data.loader.options.objective.kind], v->own.batch, batch->rows.count);
    if (batch->encoder.count > 0)
        str_appendf(out, " and %" PRId64 " of the encoder", batch->encoder.count);
    str_appendf(out, ", %" PRId64 " labels, %d threads, %s\n", batch->label_count, parallel_threads(),
                isa_name(b->machine.isa));
    str_appendf(out, "%.1f tokens/s, step %.1f ms (best %.1f), peak memory ", tokens_per_second(b, median),
                1e3 * median, 1e3 * b->seconds[0]);
    str_append_bytes_human(out, (double)mem_peak_resident());
    str_append(out, " (planned ");
    str_append_bytes_human(out, (double)plan_bytes(b->plan));
    str_appendf(out, "), loss %.4f\n", loss);
}

static int report(const struct bench *b)
{
    const double *control = executor_view(b->e, b->plan->control).data;
    double median = b->seconds[b->v->own.steps / 2];
    struct str out, profile;
    int status;

    str_init(&out);
    str_init(&profile);
    if (b->v->own.json)
        print_json(b, median, control[CONTROL_LOSS], &out);
    else
        print_table(b, median, control[CONTROL_LOSS], &out);
    executor_print_profile(b->e, &profile);
    if (b->v->own.profile)
        fputs(profile.data, stderr);
    status = write_text(NULL, &out);
    str_release(&out);
    str_release(&profile);
    return status;
}

static int run(void *values, struct options *options)
{
    struct bench b = { .v = values };
    struct model_options m = { .config_name = b.v->own.model, .overrides = b.v->own.overrides };
    int status;

    (void)options;
    TRY(model_find_config(b.v->own.model, &m, &b.config, NULL));
    if (b.v->own.overrides && (status = config_override(&b.config, b.v->own.overrides)) != OK) {
        config_release(&b.config);
        return status;
    }
    status = prepare(&b);
    if (status == OK)
        status = measure(&b);
    if (status == OK)
        status = report(&b);
    mem_free(b.seconds);
    bench_data_release(&b.data);
    executor_free(b.e);
    store_free(b.store);
    plan_free(b.plan);
    config_release(&b.config);
    return status;
}

const struct command command_bench = {
    .name = "bench",
    .summary = "measure whole training steps on this machine",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
