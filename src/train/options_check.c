/* What options mean together. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "train/lr.h"
#include "train/options.h"

/* ---- durations ---- */

static double unit_seconds(const char *unit)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].seconds;
    return 0;
}

/* "[D-]H:MM[:SS]"; a negative number when it is none. */
static double clock_time(const char *text)
{
    const char *dash = strchr(text, '-'), *p = dash ? dash + 1 : text;
    double seconds = 0, days = 0;
    char *end;
    int parts = 0;

    if (dash) {
        days = strtod(text, &end);
        if (end != dash)
            return -1;
    }
    for (;; p = end + 1) {
        if (*p < '0' || *p > '9')
            return -1;
        seconds = seconds * 60 + (double)strtol(p, &end, 10);
        if (++parts == 3 || *end != ':')
            break;
    }
    if (*end || parts < 2)
        return -1;
    return days * 86400 + seconds * (parts == 2 ? 60 : 1);
}

int parse_duration(const char *option, const char *text, double *seconds)
{
    size_t digits = strspn(text, "0123456789.");
    char *end;
    double v = digits ? strtod(text, &end) : 0;

    if (digits && end == text + digits)
        v *= unit_seconds(end);
    else
        v = 0;
    if (strchr(text, ':'))
        v = clock_time(text);
    if (!(v > 0) || !isfinite(v))
        return fail(ERR_USAGE,
                    "--%s: no time (found \"%.60s\", expected seconds, or such as 30m, 2h, 1:30:00)", option,
                    text);
    *seconds = v;
    return OK;
}

/* ---- checks ---- */

static bool was_given(const struct options *given, const char *name, bool differs)
{
    return given ? options_given(given, name) : differs;
}

static int check_interval(const char *option, double value)
{
    if (value >= 1 && value != floor(value))
        return fail(ERR_USAGE, "--%s must be an integer if bigger than 1: %g", option, value);
    return OK;
}

static int check_intervals(const struct train_options *t)
{
    TRY(check_interval("logging_steps", t->logging_steps));
    if (t->logging_steps == 0 && t->logging_strategy == STRATEGY_STEPS)
        return fail(ERR_USAGE, "logging strategy steps requires non-zero --logging_steps");
    TRY(check_interval("eval_steps", t->eval_steps));
    TRY(check_interval("save_steps", t->save_steps));
    return check_interval("warmup_steps", t->warmup_steps);
}

static int check_reports(const struct train_options *t)
{
    static const char *const elsewhere[] = { "wandb",      "mlflow",  "comet_ml", "neptune",
                                             "codecarbon", "clearml", "dagshub",  "flyte",
                                             "azure_ml",   "dvclive", "swanlab",  "trackio" };

    for (size_t i = 0; i < t->report_to.count; i++) {
        const char *word = t->report_to.items[i];
        bool known =
            strcmp(word, "all") == 0 || strcmp(word, "none") == 0 || strcmp(word, "tensorboard") == 0;
        for (size_t k = 0; k < sizeof(elsewhere) / sizeof(elsewhere[0]) && !known; k++)
            if (strcmp(word, elsewhere[k]) == 0)
                return fail(ERR_USAGE,
                            "--report_to %s: nothing is sent elsewhere (expected tensorboard or none; "
                            "train_log.jsonl has every line)",
                            word);
        if (!known)
            return fail(ERR_USAGE,
                        "--report_to: no such place (found \"%.60s\", expected tensorboard, all or none)",
                        word);
    }
    return OK;
}

bool train_wants_accuracy(const struct train_options *t)
{
    return t->metric_for_best_model && strstr(t->metric_for_best_model, "accuracy") != NULL;
}

static int check_best(struct train_options *t)
{
    static const char *const metrics[] = { "loss",     "eval_loss",    "perplexity", "eval_perplexity",
                                           "accuracy", "eval_accuracy" };
    static const char *const words[] = { "no", "steps", "epoch", "best" };
    const char *metric = t->metric_for_best_model;
    bool known = !metric;

    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]) && !known; i++)
        known = strcmp(metric, metrics[i]) == 0;
    if (!known)
        return fail(ERR_USAGE,
                    "--metric_for_best_model: no such metric (found \"%.60s\", expected loss, perplexity or "
                    "accuracy)",
                    metric);
    if (t->save_strategy == STRATEGY_BEST && t->eval_strategy == STRATEGY_NO)
        return fail(ERR_USAGE, "--save_strategy best needs an --eval_strategy");
    if (!t->load_best_model_at_end || t->save_strategy == STRATEGY_BEST)
        return OK;
    if (t->eval_strategy != t->save_strategy)
        return fail(
            ERR_USAGE,
            "--load_best_model_at_end requires the save and eval strategy to match, but found evaluation "
            "strategy: %s, save strategy: %s",
            words[t->eval_strategy], words[t->save_strategy]);
    if (t->save_strategy == STRATEGY_STEPS && fmod(t->save_steps, t->eval_steps) != 0)
        return fail(
            ERR_USAGE,
            "--load_best_model_at_end requires the saving steps to be a round multiple of the evaluation "
            "steps, but found %g, which is not a round multiple of %g",
            t->save_steps, t->eval_steps);
    return OK;
}

static int check_data(const struct train_options *t, const struct input_options *in)
{
    bool train = in->train_file.count > 0 || in->dataset_name;

    if (!train && in->validation_file.count == 0)
        return fail(ERR_USAGE, "Need either a dataset name or a training/validation file.");
    if (t->do_train && !train)
        return fail(ERR_USAGE, "--do_train requires a train dataset");
    return OK;
}

/* Two names of one thing. */
static int settle_sampling(struct train_options *t, const struct options *given)
{
    int said = t->no_shuffle        ? SAMPLING_SEQUENTIAL
               : t->group_by_length ? SAMPLING_BY_LENGTH
                                    : SAMPLING_RANDOM;

    if (!was_given(given, "train_sampling_strategy", t->sampling != SAMPLING_RANDOM))
        return OK;
    if (said != SAMPLING_RANDOM && said != t->sampling)
        return fail(ERR_USAGE, "--train_sampling_strategy: --no_shuffle and --group_by_length say otherwise");
    t->no_shuffle = t->sampling == SAMPLING_SEQUENTIAL;
    t->group_by_length = t->sampling == SAMPLING_BY_LENGTH;
    return OK;
}

static int check_resume(struct train_options *t)
{
    if (t->resume && (strcmp(t->resume, "false") == 0 || !*t->resume))
        t->resume = NULL;
    if (t->resume && t->overwrite_output_dir)
        return fail(ERR_USAGE,
                    "--overwrite_output_dir would remove what --resume_from_checkpoint is to go on from");
    if ((!t->dry_run || t->resume) && (!t->output_dir || !*t->output_dir))
        return fail(ERR_USAGE, "--output_dir is missing");
    return OK;
}

int train_options_check(struct train_options *t, const struct input_options *in, const struct options *given)
{
    TRY(check_resume(t));
    TRY(check_intervals(t));
    TRY(check_reports(t));
    if (t->eval_strategy == STRATEGY_AUTO)
        t->eval_strategy = t->eval_steps > 0 ? STRATEGY_STEPS : STRATEGY_NO;
    if (t->eval_steps == 0)
        t->eval_steps = t->logging_steps;
    if (t->eval_steps == 0 && t->eval_strategy == STRATEGY_STEPS)
        return fail(ERR_USAGE, "evaluation strategy steps requires either non-zero --eval_steps or "
                               "--logging_steps");
    if (!was_given(given, "do_train", t->do_train))
        t->do_train = !t->do_eval || t->eval_strategy != STRATEGY_NO;
    if (!t->do_train && !t->do_eval && t->eval_strategy == STRATEGY_NO) {
        note("--do_train: trains all the same, as there is no --do_eval");
        t->do_train = true;
    }
    if (t->eval_strategy != STRATEGY_NO || t->eval_on_start)
        t->do_eval = true;
    if (lr_needs_evaluation(t->lr_scheduler_type) && t->eval_strategy == STRATEGY_NO)
        return fail(ERR_USAGE, "--lr_scheduler_type reduce_lr_on_plateau requires an eval strategy");
    TRY(check_best(t));
    TRY(settle_sampling(t, given));
    return check_data(t, in);
}
