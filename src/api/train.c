/* Training and evaluation on samples of the caller's own: turns plait.h's options into a job of
 * train/train.h. What it does not name comes by the names of `plait train`, from the same tables. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/file.h"
#include "train/lr.h"
#include "train/output_dir.h"
#include "train/train.h"

enum { DEFAULT_SEED = 42 };

/* ---- samples ---- */

int plait_samples_init(struct plait_samples *s, size_t size)
{
    const struct plait_samples preset = { 0 };

    TRY(api_begin("plait_samples_init", s, "s"));
    return api_give("plait_samples", s, size, &preset, sizeof(preset), sizeof(preset));
}

/* A sample_source's read; context: the caller's plait_samples. */
static int read_sample(void *context, int64_t index, struct sample *s)
{
    const struct plait_samples *from = context;
    struct plait_sample asked = {
        .size = sizeof(asked), .max_length = from->max_length, .ids = s->ids, .labels = s->labels
    };

    if (from->read(from->context, index, &asked) != 0)
        return fail(ERR_DATA, "sample %" PRId64 ": the caller's read failed", index);
    if (asked.length < 1 || asked.length > from->max_length)
        return fail(ERR_DATA, "sample %" PRId64 " has %" PRId64 " tokens (expected 1 to %" PRId64 ")", index,
                    asked.length, from->max_length);
    s->length = asked.length;
    s->labelled = asked.labelled != 0;
    return OK;
}

/* A caller's sample is a row of tokens with labels of those to come. */
static int check_model(const struct config *c)
{
    if (config_is_causal(c) && c->head != HEAD_CLASSIFICATION)
        return OK;
    return fail(ERR_CONFIG,
                "%s: samples of a program's own train and evaluate causal language models (found %s)",
                c->name, c->architecture);
}

static int take_samples(const struct plait_model *m, const struct plait_samples *given,
                        struct plait_samples *own, struct sample_source *out)
{
    int64_t positions = model_position_limit(&m->model.config.sizes);

    TRY(check_model(&m->model.config));
    TRY(api_take("plait_samples", given, own, sizeof(*own), sizeof(*own)));
    if (!own->read)
        return fail(ERR_USAGE, "struct plait_samples: read is NULL");
    if (own->count < 1 || own->max_length < 1 || own->max_length > positions)
        return fail(ERR_USAGE,
                    "struct plait_samples: count and max_length cannot be (found %" PRId64 " and %" PRId64
                    ", expected at least 1, and at most the model's %" PRId64 " positions)",
                    own->count, own->max_length, positions);
    *out = (struct sample_source){
        .count = own->count, .max_length = own->max_length, .read = read_sample, .context = own
    };
    return OK;
}

/* ---- options ---- */

int plait_train_options_init(struct plait_train_options *o, size_t size)
{
    const struct plait_train_options preset = { .batch_size = 8,
                                                .accumulation_steps = 1,
                                                .eval_batch_size = 8,
                                                .epochs = 3,
                                                .max_steps = -1,
                                                .seed = -1,
                                                .learning_rate = 5e-5,
                                                .lr_scheduler_type = "linear",
                                                .adam_beta1 = 0.9,
                                                .adam_beta2 = 0.999,
                                                .adam_epsilon = 1e-8,
                                                .max_grad_norm = 1,
                                                .logging_steps = 500,
                                                .save_steps = 500,
                                                .data_parallel_size = 1,
                                                .tensor_parallel_size = 1 };

    TRY(api_begin("plait_train_options_init", o, "o"));
    return api_give("plait_train_options", o, size, &preset, sizeof(preset), sizeof(preset));
}

struct session {
    struct plait_model *m;
    struct plait_train_options o;
    struct plait_samples train, eval;
    struct api_loss loss;
    struct train_options settings;
    struct options table; /* of settings, and the owner of its strings */
    struct option_table tables[6];
    struct output_dir dir;
    struct model checkpoint; /* to go on from */
    bool has_checkpoint;
    char samples_note[64], order_note[16];
    struct train_note notes[3];
    struct train_job job;
};

static void put_double(struct json_writer *w, const char *key, double v)
{
    json_write_key(w, key);
    json_write_double(w, v);
}

static void put_int(struct json_writer *w, const char *key, int64_t v)
{
    json_write_key(w, key);
    json_write_int(w, v);
}

static void put_bool(struct json_writer *w, const char *key, bool v)
{
    json_write_key(w, key);
    json_write_bool(w, v);
}

static void put_string(struct json_writer *w, const char *key, const char *v)
{
    if (!v)
        return;
    json_write_key(w, key);
    json_write_string(w, v);
}

/* Steps between two of something; 0: never. */
static void put_interval(struct json_writer *w, const char *what, double steps)
{
    char key[40];

    snprintf(key, sizeof(key), "%s_%s", what, steps != 0 ? "steps" : "strategy");
    if (steps != 0)
        put_double(w, key, steps);
    else
        put_string(w, key, "no");
}

/* The options that the struct names, as an options file has them: so the tables check their values. */
static void write_options(const struct plait_train_options *o, struct json_writer *w)
{
    json_write_object_begin(w);
    put_bool(w, "do_train", true);
    put_bool(w, "do_eval", o->eval != NULL);
    put_string(w, "output_dir", o->output_dir);
    put_bool(w, "overwrite_output_dir", o->overwrite_output_dir != 0);
    put_string(w, "resume_from_checkpoint", o->resume);
    put_int(w, "per_device_train_batch_size", o->batch_size);
    put_int(w, "gradient_accumulation_steps", o->accumulation_steps);
    put_double(w, "num_train_epochs", o->epochs);
    put_int(w, "max_steps", o->max_steps);
    put_bool(w, "no_shuffle", o->no_shuffle != 0);
    put_int(w, "seed", o->seed);
    put_double(w, "learning_rate", o->learning_rate);
    put_string(w, "lr_scheduler_type", o->lr_scheduler_type);
    put_double(w, "warmup_steps", o->warmup_steps);
    put_double(w, "weight_decay", o->weight_decay);
    put_double(w, "adam_beta1", o->adam_beta1);
    put_double(w, "adam_beta2", o->adam_beta2);
    put_double(w, "adam_epsilon", o->adam_epsilon);
    put_double(w, "max_grad_norm", o->max_grad_norm);
    put_interval(w, "logging", o->logging_steps);
    put_interval(w, "save", o->save_steps);
    if (o->eval)
        put_interval(w, "eval", o->eval_steps);
    put_int(w, "save_total_limit", o->save_total_limit);
    json_write_object_end(w);
}

static int parse_options(struct session *s)
{
    struct json_writer w;
    struct str text;
    int status;

    str_init(&text);
    json_writer_init(&w, &text, 0);
    write_options(&s->o, &w);
    status = options_parse_json(&s->table, "plait_train_options", text.data, text.length);
    str_release(&text);
    if (status == OK && s->o.more)
        status = options_parse_json(&s->table, "plait_train_options.more", s->o.more, strlen(s->o.more));
    TRY(status);
    if (!options_given(&s->table, "report_to"))
        s->settings.report_to.count = 0;
    if (!options_given(&s->table, "disable_tqdm"))
        s->settings.disable_tqdm = true;
    if (s->settings.dry_run)
        return fail(ERR_USAGE, "plait_train_options.more: dry_run is for the program alone");
    /* Where samples come from is no option here; the name only says that there are some. */
    return train_options_check(&s->settings, &(struct input_options){ .dataset_name = "samples" }, &s->table);
}

static int check_options(struct session *s)
{
    struct plait_train_options *o = &s->o;
    int64_t seed = (int64_t)s->m->names.seed;

    TRY(api_require("plait_model_train", o->output_dir, "options->output_dir"));
    TRY(api_require("plait_model_train", o->train, "options->train"));
    if (o->data_parallel_size < 1 || o->tensor_parallel_size < 1 || o->data_parallel_size > 256 ||
        o->tensor_parallel_size > 256)
        return fail(ERR_USAGE,
                    "plait_model_train: data_parallel_size and tensor_parallel_size cannot be (found %" PRId64
                    " and %" PRId64 ", expected 1 to 256)",
                    o->data_parallel_size, o->tensor_parallel_size);
    if (o->seed == -1)
        o->seed = s->m->model.has_weights ? DEFAULT_SEED : seed;
    if (!s->m->model.has_weights && o->seed != seed)
        return fail(ERR_USAGE,
                    "plait_model_train: seed is not the one of the model's random weights (found %" PRId64
                    ", expected %" PRId64 ", or -1)",
                    o->seed, seed);
    return OK;
}

/* ---- the job ---- */

static bool hear_progress(void *context, const struct train_progress *p)
{
    const struct plait_train_options *o = context;
    const struct plait_train_progress shown = { .size = sizeof(shown),
                                                .step = p->step,
                                                .total_steps = p->total_steps,
                                                .epoch = p->epoch,
                                                .loss = p->loss,
                                                .learning_rate = p->learning_rate,
                                                .grad_norm = p->grad_norm,
                                                .tokens_per_second = p->tokens_per_second,
                                                .seconds_left = p->seconds_left };

    return o->progress(o->progress_context, &shown) == 0;
}

static int open_output(struct session *s)
{
    const char *inputs[] = { s->m->model.directory, s->o.tokenizer };

    TRY(output_dir_open(&s->dir, &(struct output_dir_options){ .path = s->settings.output_dir,
                                                               .resume = s->settings.resume,
                                                               .overwrite = s->settings.overwrite_output_dir,
                                                               .training = true,
                                                               .inputs = inputs,
                                                               .input_count = 2 }));
    if (!s->dir.checkpoint)
        return OK;
    TRY(model_open(&s->checkpoint, &(struct model_options){ .name = s->dir.checkpoint }));
    s->has_checkpoint = true;
    if (s->checkpoint.config.def != s->m->model.config.def ||
        memcmp(&s->checkpoint.config.sizes, &s->m->model.config.sizes, sizeof(struct model_sizes)) != 0)
        return fail(ERR_CONFIG, "%s: is of another model than the one to be trained", s->dir.checkpoint);
    return OK;
}

static void fill_job(struct session *s)
{
    struct train_job *job = &s->job;
    const struct plait_train_options *o = &s->o;

    snprintf(s->samples_note, sizeof(s->samples_note), "%" PRId64 " of at most %" PRId64 " tokens",
             s->train.count, s->train.max_length);
    snprintf(s->order_note, sizeof(s->order_note), "%s", o->no_shuffle ? "as numbered" : "shuffled");
    s->notes[0] = (struct train_note){ "samples", s->samples_note, NULL };
    s->notes[1] = (struct train_note){ "order", s->order_note, "no_shuffle decides" };
    job->model = s->has_checkpoint ? &s->checkpoint : &s->m->model;
    job->options = &s->settings;
    job->eval_batch = o->eval_batch_size;
    job->dtype = s->m->dtype;
    job->mesh = (struct mesh){ { (int)o->data_parallel_size, (int)o->tensor_parallel_size } };
    job->save_dtype = o->save_dtype;
    job->tokenizer_dir = o->tokenizer ? o->tokenizer : s->m->model.directory;
    job->checkpoint = s->dir.checkpoint;
    job->notes = s->notes;
    job->note_count = 2;
    if (s->train.identity)
        s->notes[job->note_count++] = (struct train_note){ "train_data", s->train.identity, NULL };
    if (o->progress) {
        job->progress = hear_progress;
        job->progress_context = &s->o;
    }
    if (!o->loss)
        return;
    s->loss = (struct api_loss){ o->loss, o->loss_context };
    job->loss = api_loss_build;
    job->loss_context = &s->loss;
}

static int run(struct session *s, const struct plait_train_options *options)
{
    TRY(api_take("plait_train_options", options, &s->o, sizeof(s->o), sizeof(s->o)));
    TRY(check_options(s));
    TRY(take_samples(s->m, s->o.train, &s->train, &s->job.train));
    if (s->o.eval)
        TRY(take_samples(s->m, s->o.eval, &s->eval, &s->job.eval));
    TRY(parse_options(s));
    TRY(open_output(s));
    fill_job(s);
    model_forget(s->m); /* its memory is wanted now */
    return train(&s->job);
}

/* The tables check and own the settings; both live as long as the session. */
static void session_begin(struct session *s, struct plait_model *m)
{
    *s = (struct session){ .m = m, .dir.lock.fd = -1 };
    s->tables[0] = (struct option_table){ "", train_run_options, &s->settings };
    s->tables[1] = (struct option_table){ "", train_batch_options, &s->settings };
    s->tables[2] = (struct option_table){ "", train_optimizer_options, &s->settings };
    s->tables[3] = (struct option_table){ "", train_log_options, &s->settings };
    s->tables[4] = (struct option_table){ "", train_save_options, &s->settings };
    options_init(&s->table, "train", s->tables);
}

int plait_model_train(struct plait_model *m, const struct plait_train_options *options)
{
    struct session s;
    struct model trained;
    int status;

    TRY(api_begin("plait_model_train", m, "m"));
    TRY(api_require("plait_model_train", options, "options"));
    session_begin(&s, m);
    status = run(&s, options);
    if (s.has_checkpoint)
        model_close(&s.checkpoint);
    output_dir_close(&s.dir);
    if (status == OK)
        status = model_open(&trained, &(struct model_options){ .name = s.settings.output_dir });
    if (status == OK)
        model_replace(m, &trained);
    options_release(&s.table);
    return status;
}

/* ---- evaluation ---- */

int plait_model_evaluate(struct plait_model *m, const struct plait_samples *samples, int64_t batch_size,
                         double *loss, int64_t *labels)
{
    struct train_job job = { .mesh = { { 1, 1 } }, .eval_batch = batch_size };
    struct plait_samples own = { 0 };
    struct evaluation e;

    TRY(api_begin("plait_model_evaluate", m, "m"));
    TRY(api_require("plait_model_evaluate", samples, "samples"));
    TRY(api_require("plait_model_evaluate", loss, "loss"));
    if (batch_size < 1 || batch_size > INT32_MAX)
        return fail(ERR_USAGE,
                    "plait_model_evaluate: wrong batch_size (found %" PRId64 ", expected at least 1)",
                    batch_size);
    if (!m->model.has_weights)
        return fail(ERR_USAGE,
                    "plait_model_evaluate: the model's weights are in no files (save and open it first)");
    TRY(take_samples(m, samples, &own, &job.eval));
    job.model = &m->model;
    job.dtype = m->dtype;
    TRY(train_evaluate(&job, &e));
    *loss = e.loss;
    if (labels)
        *labels = e.label_tokens;
    return OK;
}
