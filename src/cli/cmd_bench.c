/* plait bench -- whole training steps on this machine: tokens per second, the share of each op, peak memory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "ckpt/hf.h"
#include "cli/cli.h"
#include "cpu/machine.h"

struct values {
    struct {
        const char *model, *overrides;
        int64_t batch, length, steps, seed;
        bool json, profile;
        int recompute, dtype;
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
    { "batch", OPTION_INT, OWN(batch), "2", "samples of a step", 1, 1 << 20,
      .aliases = (const char *const[]){ "per_device_train_batch_size", NULL } },
    { "seq", OPTION_INT, OWN(length), "512", "tokens of a sample", 1, 1 << 20,
      .aliases = (const char *const[]){ "block_size", NULL } },
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

static const struct command_part parts[] = {
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
    struct batch batch;
    double *seconds;  /* [steps] */
    double cpu_share; /* of the processors' time that the threads got */
};

static void fill_batch(struct bench *b)
{
    int64_t n = b->v->own.length;
    int32_t *ids = mem_alloc_array((size_t)n, sizeof(ids[0]));
    struct rng_key key = { .seed = (uint64_t)b->v->own.seed, .stream = rng_stream("bench") };

    batch_init(&b->batch,
               &(struct batch_capacity){ .rows = b->v->own.batch * n, .sequences = b->v->own.batch });
    batch_clear(&b->batch);
    for (int64_t s = 0; s < b->v->own.batch; s++) {
        for (int64_t i = 0; i < n; i++)
            ids[i] = (int32_t)rng_below(key, (uint64_t)s, (uint64_t)i, (uint64_t)b->config.sizes.vocab);
        batch_add_causal(&b->batch, ids, NULL, n, s, n);
    }
    mem_free(ids);
}

static int prepare(struct bench *b)
{
    const struct values *v = b->v;
    struct compile_options o = { .task = TASK_TRAIN,
                                 .rows = v->own.batch * v->own.length,
                                 .labels = v->own.batch * v->own.length,
                                 .sequences = v->own.batch,
                                 .mesh = { { 1, 1 } },
                                 .recompute = (enum recompute)v->own.recompute,
                                 .dtype = v->own.dtype ? DT_BF16 : DT_F32,
                                 .optimizer = {
                                     .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01 } };
    double *settings;

    if (v->own.length > model_position_limit(&b->config.sizes))
        return fail(ERR_USAGE,
                    "--seq: longer than the model's positions (found %" PRId64 ", expected at most %" PRId64
                    ")",
                    v->own.length, b->config.sizes.positions);
    TRY(machine_detect(&b->machine));
    TRY(plan_compile(&b->config, &o, &b->machine, &b->plan));
    b->store = store_create();
    TRY(executor_create(b->plan, b->store, NULL, 0, &b->e));
    model_init_store(b->store, (uint64_t)v->own.seed);
    fill_batch(b);
    executor_set_batch(b->e, &b->batch);
    *(double *)executor_input(b->e, "label_count") = (double)b->batch.label_count;
    settings = executor_input(b->e, "settings");
    settings[SETTING_LEARNING_RATE] = 1e-4;
    settings[SETTING_MAX_NORM] = 1;
    return OK;
}

static int run_step(struct bench *b, int64_t step)
{
    struct run_options o = { .seed = 1, .step = (uint64_t)step, .first_microbatch = true };

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
    b->cpu_share = (double)(clock() - cpu) / CLOCKS_PER_SEC / (clock_seconds() - begun) / parallel_threads();
    qsort(b->seconds, (size_t)steps, sizeof(b->seconds[0]), by_value);
    return OK;
}

/* Keys as bench/peer_gpt2.py writes them. */
static void print_json(const struct bench *b, double median, double loss, struct str *out)
{
    const struct values *v = b->v;
    struct json_writer w;

    json_writer_init(&w, out, 0);
    json_write_object_begin(&w);
    json_write_key(&w, "program");
    json_write_string(&w, "plait");
    json_write_key(&w, "batch");
    json_write_int(&w, v->own.batch);
    json_write_key(&w, "seq");
    json_write_int(&w, v->own.length);
    json_write_key(&w, "recompute");
    json_write_string(&w, recomputes[v->own.recompute]);
    json_write_key(&w, "dtype");
    json_write_string(&w, dtypes[v->own.dtype]);
    json_write_key(&w, "threads");
    json_write_int(&w, parallel_threads());
    json_write_key(&w, "tokens_per_second");
    json_write_double(&w, (double)(v->own.batch * v->own.length) / median);
    json_write_key(&w, "step_ms");
    json_write_double(&w, 1e3 * median);
    json_write_key(&w, "fastest_step_ms");
    json_write_double(&w, 1e3 * b->seconds[0]);
    json_write_key(&w, "cpu_share");
    json_write_double(&w, b->cpu_share);
    json_write_key(&w, "peak_rss_bytes");
    json_write_int(&w, (int64_t)mem_peak_resident());
    json_write_key(&w, "planned_bytes");
    json_write_int(&w, plan_bytes(b->plan));
    json_write_key(&w, "loss");
    json_write_double(&w, loss);
    json_write_object_end(&w);
    str_append(out, "\n");
}

static void print_table(const struct bench *b, double median, double loss, struct str *out)
{
    const struct values *v = b->v;

    str_appendf(out, "%s, batch %" PRId64 ", %" PRId64 " tokens each, %d threads, %s\n", v->own.model,
                v->own.batch, v->own.length, parallel_threads(), isa_name(b->machine.isa));
    str_appendf(out, "%.1f tokens/s, step %.1f ms (best %.1f), peak memory ",
                (double)(v->own.batch * v->own.length) / median, 1e3 * median, 1e3 * b->seconds[0]);
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
    batch_release(&b.batch);
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
