#include "train/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "train/assumed.h"
#include "train/corpus.h"
#include "train/output_dir.h"
#include "train/results.h"
#include "train/same_config.h"
#include "train/together.h"

enum { MOST_NOTES = 7 };

struct session {
    const struct session_options *o;
    struct output_dir dir;
    struct data_files files;
    struct objective_choice choice;
    struct model model;
    struct corpus corpus;
    bool has_files, has_model, has_corpus;
    struct assumed_text assumed;
    struct train_note notes[MOST_NOTES];
    size_t note_count;
    struct arena memory; /* of the notes */
};

/* ---- the model ---- */

static int check_samples(const struct session *s, bool train, bool evaluate)
{
    const struct session_samples *own = s->o->samples;
    const struct input_options *in = s->o->in;

    if (in->train_file.count > 0 || in->validation_file.count > 0 || in->dataset_name)
        return fail(ERR_USAGE, "there are samples of the program's own, so no files (found --%s)",
                    in->train_file.count > 0        ? "train_file"
                    : in->validation_file.count > 0 ? "validation_file"
                                                    : "dataset_name");
    if (own->assumed)
        return OK;
    if ((train && own->train.count == 0) || (evaluate && own->eval.count == 0))
        return fail(ERR_USAGE, "there are no samples to %s",
                    train && own->train.count == 0 ? "train on" : "evaluate");
    return OK;
}

static bool names_input(const struct option_list *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i], "-") == 0)
            return true;
    return false;
}

static int find_files(struct session *s, bool train, bool evaluate)
{
    const struct data_wishes w = { s->o->in, s->o->model.cache_dir, train, evaluate };

    world_enter(s->o->world, PHASE_DATA);
    s->choice.in = s->o->in;
    s->choice.given = s->o->given;
    s->choice.own_samples = s->o->samples != NULL;
    s->choice.assumed = s->o->samples && s->o->samples->assumed;
    s->choice.own_loss = s->o->loss != NULL;
    if (s->o->samples)
        return check_samples(s, train, evaluate);
    TRY(data_files_find(&s->files, &w));
    s->has_files = true;
    if (names_input(&s->files.train) || names_input(&s->files.validation))
        TRY(world_share_input(s->o->world));
    s->choice.files = s->files.train.count > 0 ? &s->files.train : &s->files.validation;
    s->choice.spool_directory = ".";
    return OK;
}

/* The model becomes what the objective needs. */
static int settle_objective(void *context, struct config *c, bool trained)
{
    struct session *s = context;

    return objective_choice_settle(&s->choice, c, trained);
}

static int open_model(struct session *s)
{
    struct model_options o = s->o->model;

    world_enter(s->o->world, PHASE_MODEL);
    if (s->dir.checkpoint)
        o = (struct model_options){ .name = s->dir.checkpoint };
    o.adapt = settle_objective;
    o.context = s;
    o.new_head = true;
    o.seed = s->o->train ? (uint64_t)s->o->train->seed : 0;
    o.part = s->o->world ? s->o->world->rank : 0;
    o.parts = s->o->world ? s->o->world->ranks : 0;
    TRY(model_open(&s->model, &o));
    s->has_model = true;
    return s->dir.checkpoint ? same_config_check(&s->o->model, &s->model.config, s->dir.checkpoint) : OK;
}

/* ---- the data ---- */

static int64_t longest_sample(const struct session_samples *own)
{
    int64_t train = own->train.count ? own->train.max_length : 0,
            eval = own->eval.count ? own->eval.max_length : 0;

    return train > eval ? train : eval;
}

/* What the objective reads of samples. */
static void settle_source(const struct session *s, const struct session_samples *own,
                          struct sample_source *source)
{
    const struct objective *o = &s->corpus.objective;
    const struct label_set *labels = &s->choice.labels;

    if (o->kind != OBJECTIVE_SEQ2SEQ || !o->encoder)
        source->max_target = 0;
    source->of_labels = own->target_width > 0;
    source->number_count = own->target_width;
    if (o->kind == OBJECTIVE_CLASSIFICATION && labels->kind != LABEL_CLASS) {
        source->of_labels = false;
        source->number_count = labels->count;
    }
}

static void settle_samples(struct session *s, struct session_samples *own)
{
    own->objective = s->corpus.objective;
    if (own->assumed)
        assumed_source(&s->assumed, &own->objective, s->model.config.sizes.vocab, s->corpus.block_size,
                       &own->train);
    settle_source(s, own, &own->train);
    settle_source(s, own, &own->eval);
}

struct opening {
    struct session *s;
    bool train, evaluate;
    const char *output_dir;
};

/* again: on this host it has been done, and the caches are there. */
static int open_corpus(void *context, bool again)
{
    const struct opening *x = context;
    struct session *s = x->s;
    struct input_options in = *s->o->in;
    const struct corpus_options o = { .in = &in,
                                      .files = s->o->samples ? NULL : &s->files,
                                      .max_length = s->o->samples ? longest_sample(s->o->samples) : 0,
                                      .choice = &s->choice,
                                      .model = &s->model,
                                      .hub = &s->o->model,
                                      .output_dir = x->output_dir,
                                      .train = x->train,
                                      .evaluate = x->evaluate,
                                      .seed = x->train ? data_seed(s->o->train) : 0,
                                      .stop = s->o->stop };

    world_enter(s->o->world, PHASE_DATA);
    in.overwrite_cache = in.overwrite_cache && !again;
    TRY(corpus_open(&s->corpus, &o));
    s->has_corpus = true;
    if (s->o->samples)
        settle_samples(s, s->o->samples);
    return OK;
}

static void add_note(struct session *s, const char *key, const char *value, const char *hint)
{
    s->notes[s->note_count++] = (struct train_note){ key, value, hint };
}

/* What the objective makes of samples, beside what the other notes say. */
static const char *objective_text(struct session *s)
{
    const struct objective *o = &s->corpus.objective;
    const char *name = objective_names[o->kind];

    if (o->kind == OBJECTIVE_MLM)
        return arena_printf(&s->memory, "%s %g", name, o->noise);
    if (o->kind == OBJECTIVE_SPAN_CORRUPTION)
        return arena_printf(&s->memory, "%s %g of %g", name, o->noise, o->mean_span);
    return arena_printf(&s->memory, "%s%s", name, o->documents ? ", documents apart" : "");
}

static void note_data(struct session *s, const char *key, const struct token_cache *cache)
{
    const struct corpus *c = &s->corpus;

    if (c->tokenizer)
        add_note(s, "tokenizer", arena_printf(&s->memory, "%016" PRIx64, tokenizer_hash(c->tokenizer)), NULL);
    add_note(s, key, arena_printf(&s->memory, "%016" PRIx64, cache->key),
             "the data files, or an option that changes tokens is another one");
    add_note(s, "block_size", arena_printf(&s->memory, "%" PRId64, c->block_size), NULL);
}

static void note_own_samples(struct session *s)
{
    const struct session_samples *own = s->o->samples;

    if (own->name)
        add_note(s, "train_data", own->name, NULL);
    add_note(s, "samples",
             arena_printf(&s->memory, "%" PRId64 " of at most %" PRId64 " tokens", own->train.count,
                          own->train.max_length),
             NULL);
}

static void note_samples(struct session *s)
{
    const struct corpus *c = &s->corpus;

    note_data(s, "train_data", &c->caches[0]);
    add_note(s, "samples",
             arena_printf(&s->memory, "%s%" PRId64 " from document %" PRId64,
                          s->o->in->line_by_line ? "rows, " : "", c->train.count, c->train.first_document),
             "max_train_samples, line_by_line, and with do_eval validation_split_percentage decide");
}

static void make_notes(struct session *s)
{
    if (s->o->samples)
        note_own_samples(s);
    else
        note_samples(s);
    add_note(s, "objective", objective_text(s), "objective and its options decide");
    add_note(s, "optimizer", s->o->train->optim < OPTIM_ADAFACTOR ? "adamw" : optim_names[s->o->train->optim],
             "optim and adafactor decide");
    add_note(s, "order",
             s->o->train->no_shuffle        ? "file"
             : s->o->train->group_by_length ? "shuffled, by length"
                                            : "shuffled",
             "no_shuffle and group_by_length decide");
}

/* What the objective has no use for. */
static void tell_idle(struct session *s)
{
    const struct options *given = s->o->given;
    enum objective_kind kind = s->corpus.objective.kind;
    const char *why = arena_printf(&s->memory, "the objective is %s", objective_names[kind]);

    option_tell_idle(given, "mlm_probability", kind != OBJECTIVE_MLM && kind != OBJECTIVE_SPAN_CORRUPTION,
                     why);
    option_tell_idle(given, "mean_noise_span_length", kind != OBJECTIVE_SPAN_CORRUPTION, why);
    option_tell_idle(given, "max_target_length", kind != OBJECTIVE_SEQ2SEQ, why);
    option_tell_idle(given, "group_by_length", s->corpus.train.count > 0 && !s->corpus.train.rows,
                     "all samples have one length");
}

/* ---- training ---- */

static void fill_job(struct session *s, struct train_job *job)
{
    const struct session_options *o = s->o;

    *job = (struct train_job){ .model = &s->model,
                               .options = o->train,
                               .eval_batch = o->in->per_device_eval_batch_size,
                               .world = o->world,
                               .mesh = o->mesh,
                               .pipeline = o->pipeline,
                               .rules = o->rules,
                               .recompute = o->recompute,
                               .zero_stage = o->zero_stage,
                               .verify = o->verify,
                               .wish = o->wish,
                               .plan = o->plan,
                               .plan_json = o->plan_json,
                               .dtype = o->dtype,
                               .memory = o->memory,
                               .save_dtype = o->save_dtype,
                               .max_shard_bytes = o->max_shard_bytes,
                               .tokenizer_dir = s->corpus.tokenizer_dir,
                               .checkpoint = s->dir.checkpoint,
                               .notes = s->notes,
                               .note_count = s->note_count,
                               .given = o->unrecorded ? NULL : o->given,
                               .stop = o->stop,
                               .loss = o->loss,
                               .loss_context = o->loss_context,
                               .target_width = o->samples ? o->samples->target_width : 0,
                               .progress = o->progress,
                               .progress_context = o->progress_context,
                               .stage = o->stage,
                               .stage_context = o->stage_context };
    job->objective = s->corpus.objective;
    if (o->samples) {
        job->train = o->samples->train;
        if (!o->train || o->train->do_eval)
            job->eval = o->samples->eval;
    }
    if (s->corpus.train.count > 0)
        job->train = dataset_source(&s->corpus.train);
    if (s->corpus.eval.count > 0)
        job->eval = dataset_source(&s->corpus.eval);
    if (!job->save_dtype)
        job->save_dtype = model_saved_dtype(&s->model);
}

static int open_output(struct session *s)
{
    const struct session_options *o = s->o;
    const char *inputs[] = { o->model.name, o->model.config_name, o->in->tokenizer_name };

    if (!o->train->output_dir) /* a dry run */
        return OK;
    return together_open_output(o->world, &s->dir,
                                &(struct output_dir_options){ .path = o->train->output_dir,
                                                              .resume = o->train->resume,
                                                              .overwrite = o->train->overwrite_output_dir,
                                                              .training = o->train->do_train,
                                                              .dry = o->train->dry_run,
                                                              .inputs = inputs,
                                                              .input_count = 3 });
}

static int set_time(const struct session_options *o)
{
    double seconds = 0;

    if (o->train->max_runtime)
        TRY(parse_duration("max_runtime", o->train->max_runtime, &seconds));
    if (o->stop)
        stop_set_limit(o->stop, seconds);
    return OK;
}

static void session_close(struct session *s)
{
    if (s->has_corpus)
        corpus_close(&s->corpus);
    if (s->has_model)
        model_close(&s->model);
    if (s->has_files)
        data_files_release(&s->files);
    objective_choice_release(&s->choice);
    output_dir_close(&s->dir);
    arena_release(&s->memory);
}

static void session_begin(struct session *s, const struct session_options *o)
{
    *s = (struct session){ .o = o, .dir.lock.fd = -1 };
    arena_init(&s->memory);
}

static void tell_evaluation(const struct session *s)
{
    struct str count;

    str_init(&count);
    str_append_count(&count, s->o->samples ? s->o->samples->eval.count : s->corpus.eval.count);
    inform("***** Running Evaluation *****");
    inform("  Num examples = %s", count.data);
    inform("  Batch size = %" PRId64, s->o->in->per_device_eval_batch_size);
    str_release(&count);
}

static void tell_result(const struct evaluation *e)
{
    struct str text;

    str_init(&text);
    evaluation_tell(e, &text);
    inform("%s", text.data);
    str_release(&text);
}

static int check_weights(const struct session *s)
{
    if (s->model.has_weights)
        return OK;
    return fail(ERR_USAGE, "--model_name_or_path is missing: there is nothing to evaluate without weights");
}

static int evaluate_alone(struct session *s, const char *output_dir, struct evaluation *e)
{
    struct train_job job;

    fill_job(s, &job);
    job.options = NULL;
    tell_evaluation(s);
    if (s->o->train && s->o->train->dry_run)
        return OK;
    if (!s->o->samples)
        note_data(s, "validation_data", &s->corpus.caches[s->corpus.cache_count - 1]);
    TRY(together_compare(s->o->world, &s->model, s->notes, s->note_count));
    TRY(train_evaluate(&job, e));
    tell_result(e);
    return output_dir && world_is_first(s->o->world) ? results_write_evaluation(output_dir, e) : OK;
}

/* --do_eval alone means evaluation alone: not what somebody wants who names what to train on. */
static int prepare_evaluation(struct session *s)
{
    int status = check_weights(s);

    if (status != OK)
        error_hint("--do_eval alone only evaluates: give --do_train too");
    else if (s->o->in->train_file.count > 0 && s->o->in->validation_file.count > 0)
        note("--train_file: changes nothing, --do_eval alone only evaluates; give --do_train too to train");
    return status;
}

static int do_session(struct session *s)
{
    const struct train_options *t = s->o->train;
    struct train_job job;
    struct evaluation e;

    TRY(open_output(s));
    TRY(find_files(s, t->do_train, t->do_eval));
    TRY(open_model(s));
    if (!t->do_train)
        TRY(prepare_evaluation(s));
    TRY(together_in_turn(s->o->world, open_corpus,
                         &(struct opening){ s, t->do_train, t->do_eval, t->output_dir }));
    if (!t->do_train)
        return evaluate_alone(s, t->output_dir, &e);
    tell_idle(s);
    make_notes(s);
    TRY(together_compare(s->o->world, &s->model, s->notes, s->note_count));
    fill_job(s, &job);
    return train(&job);
}

/* Own samples are as good as a data set of some name. */
static int check_options(const struct session_options *o)
{
    struct input_options in = *o->in;

    if (o->samples && !in.dataset_name)
        in.dataset_name = "samples";
    return train_options_check(o->train, &in, o->given);
}

int session_train(const struct session_options *o)
{
    struct session s;
    int status;

    TRY(check_options(o));
    train_options_tell_idle(o->train, o->in, o->given);
    TRY(set_time(o));
    session_begin(&s, o);
    status = do_session(&s);
    session_close(&s);
    return status;
}

int session_evaluate(const struct session_options *o, const char *output_dir, struct evaluation *out)
{
    struct session s;
    int status;

    session_begin(&s, o);
    status = OK;
    if (output_dir)
        status = together_open_output(o->world, &s.dir, &(struct output_dir_options){ .path = output_dir });
    if (status == OK)
        status = find_files(&s, false, true);
    if (status == OK)
        status = open_model(&s);
    if (status == OK)
        status = check_weights(&s);
    if (status == OK)
        status = together_in_turn(o->world, open_corpus, &(struct opening){ &s, false, true, output_dir });
    if (status == OK)
        status = evaluate_alone(&s, output_dir, out);
    session_close(&s);
    return status;
}
