/* Training and evaluation: the options of `plait train` and `plait eval`, with what a program may bring of
 * its own -- samples, a loss, an ear -- as a session of train/session.h. */
#include <inttypes.h>
#include <math.h>

#include "api/run_options.h"
#include "api/samples.h"

/* ---- what both have ---- */

struct run {
    struct plait_model *m;
    struct session_options session;
    struct session_samples samples;
    struct own_source train, eval;
    struct plait_training own;
};

static void begin(struct run *r, struct plait_model *m, const struct api_options *given)
{
    r->m = m;
    r->session = (struct session_options){ .model = m->names,
                                           .world = m->world,
                                           .mesh = m->mesh,
                                           .wish = m->wish,
                                           .pipeline = m->pipeline,
                                           .rules = m->rules,
                                           .recompute = m->recompute,
                                           .zero_stage = m->zero_stage,
                                           .dtype = m->dtype,
                                           .memory = m->available,
                                           .given = &given->options,
                                           .unrecorded = true };
}

static int take_source(struct run *r, const struct plait_samples *given, struct own_source *own,
                       struct sample_source *source)
{
    if (!given)
        return OK;
    TRY(own_source_take(own, r->m, given, source));
    own->objective = &r->samples.objective;
    own->source = source;
    r->session.samples = &r->samples;
    if (r->samples.target_width && r->samples.target_width != own->given.target_width)
        return fail(ERR_USAGE,
                    "struct plait_samples: target_width is not that of the others (found %" PRId64
                    ", expected %" PRId64 ")",
                    own->given.target_width, r->samples.target_width);
    r->samples.target_width = own->given.target_width;
    return OK;
}

static int take_loss(struct run *r, const struct plait_loss *loss)
{
    static const char *const of_the_head[] = { "label_smoothing_factor", "z_loss" };

    if (!loss)
        return OK;
    for (int i = 0; i < 2; i++)
        option_tell_idle(r->session.given, of_the_head[i], true, "the loss is the program's own");
    TRY(api_require("struct plait_loss", (const void *)loss->build, "build"));
    r->session.loss = api_loss_build;
    r->session.loss_context = (void *)loss;
    return OK;
}

/* ---- training ---- */

static bool hear_progress(void *context, const struct train_progress *p)
{
    const struct plait_training *own = context;
    const struct plait_train_progress shown = { .size = sizeof(shown),
                                                .step = p->step,
                                                .total_steps = p->total_steps,
                                                .epoch = p->epoch,
                                                .loss = p->loss,
                                                .learning_rate = p->learning_rate,
                                                .grad_norm = p->grad_norm,
                                                .tokens_per_second = p->tokens_per_second,
                                                .seconds_left = p->seconds_left };

    return own->progress(own->context, &shown) == 0;
}

static int take_own(struct run *r, const struct plait_training *own)
{
    if (!own)
        return OK;
    TRY(api_take("plait_training", own, &r->own, sizeof(r->own), sizeof(r->own)));
    TRY(take_source(r, r->own.train, &r->train, &r->samples.train));
    TRY(take_source(r, r->own.eval, &r->eval, &r->samples.eval));
    TRY(take_loss(r, r->own.loss));
    if (r->train.given.identity)
        r->samples.name = r->train.given.identity;
    if (r->own.progress) {
        r->session.progress = hear_progress;
        r->session.progress_context = &r->own;
    }
    return OK;
}

/* A library does what it is called for, and writes no more than it must. */
static int set_defaults(struct run *r, struct api_options *given, struct train_values *v)
{
    if (!options_given(&given->options, "do_train"))
        TRY(options_set(&given->options, "do_train", "true"));
    if (r->own.eval && !options_given(&given->options, "do_eval"))
        TRY(options_set(&given->options, "do_eval", "true"));
    if (!options_given(&given->options, "report_to"))
        v->train.report_to.count = 0;
    if (!options_given(&given->options, "disable_tqdm"))
        v->train.disable_tqdm = true;
    if (v->train.dry_run || !v->train.do_train)
        return fail(ERR_USAGE, "plait_model_train: it trains (found --%s)",
                    v->train.dry_run ? "dry_run" : "do_train false");
    return OK;
}

/* Random weights are those of the handle. */
static int set_seed(const struct plait_model *m, const struct api_options *given, struct train_values *v)
{
    int64_t seed = (int64_t)m->names.seed;

    if (m->model.has_weights)
        return OK;
    if (options_given(&given->options, "seed") && v->train.seed != seed)
        return fail(ERR_USAGE,
                    "--seed: is not the one of the model's random weights (found %" PRId64
                    ", expected %" PRId64 ", or none)",
                    v->train.seed, seed);
    v->train.seed = seed;
    return OK;
}

static int train_model(struct plait_model *m, struct api_options *given, struct train_values *v,
                       const struct plait_training *own)
{
    struct run r = { 0 };
    int status;

    begin(&r, m, given);
    TRY(take_own(&r, own));
    TRY(set_defaults(&r, given, v));
    TRY(set_seed(m, given, v));
    TRY(train_values_take(v, &r.session));
    model_forget(m); /* its memory is wanted now */
    r.session.stop = stop_create_limit();
    status = session_train(&r.session);
    stop_free(r.session.stop);
    return status;
}

int plait_model_train(struct plait_model *m, const char *const *options, const struct plait_training *own)
{
    struct api_options given;
    struct train_values v = { 0 };
    int status;

    TRY(api_begin("plait_model_train", m, "m"));
    TRY(api_options_read(&given, "train", train_parts, &v, options));
    status = train_model(m, &given, &v, own);
    if (status == OK)
        status = model_reopen(m, v.train.output_dir);
    api_options_release(&given);
    return status;
}

/* ---- evaluation ---- */

static int evaluate_model(struct plait_model *m, const struct api_options *given, struct eval_values *v,
                          const struct plait_samples *samples, const struct plait_loss *loss,
                          struct evaluation *out)
{
    struct run r = { 0 };
    int status;

    if (!m->model.has_weights)
        return fail(ERR_USAGE,
                    "plait_model_evaluate: the model's weights are in no files (save and open it first)");
    begin(&r, m, given);
    TRY(take_source(&r, samples, &r.eval, &r.samples.eval));
    TRY(take_loss(&r, loss));
    r.session.in = &v->input;
    model_forget(m);
    r.session.stop = stop_create_limit();
    status = session_evaluate(&r.session, v->output_dir, out);
    stop_free(r.session.stop);
    return status;
}

int plait_model_evaluate(struct plait_model *m, const char *const *options,
                         const struct plait_samples *samples, const struct plait_loss *loss,
                         struct plait_evaluation *out)
{
    struct plait_evaluation shown = { 0 };
    struct api_options given;
    struct eval_values v = { 0 };
    struct evaluation e;
    size_t size;
    int status;

    TRY(api_begin("plait_model_evaluate", m, "m"));
    TRY(api_require("plait_model_evaluate", out, "out"));
    TRY(api_take("plait_evaluation", out, &shown, sizeof(shown), sizeof(shown)));
    size = shown.size;
    TRY(api_options_read(&given, "eval", eval_parts, &v, options));
    status = evaluate_model(m, &given, &v, samples, loss, &e);
    api_options_release(&given);
    TRY(status);
    shown = (struct plait_evaluation){ .loss = e.loss,
                                       .perplexity = evaluation_perplexity(&e),
                                       .accuracy = e.accuracy,
                                       .label_count = e.label_tokens,
                                       .sample_count = e.samples };
    return api_give("plait_evaluation", out, size, &shown, sizeof(shown), sizeof(shown));
}
