/* Options that were asked for and change nothing beside the others: each is told of once. */
#include <string.h>

#include "base/log.h"
#include "train/lr.h"
#include "train/options.h"

void option_tell_idle(const struct options *given, const char *name, bool idle, const char *why)
{
    if (idle && given && options_given(given, name))
        note("--%s: changes nothing, as %s", name, why);
}

static void tell_steps(const struct train_options *t, const struct options *given)
{
    bool adafactor = t->optim >= OPTIM_ADAFACTOR, cold = !lr_has_warmup(t->lr_scheduler_type);

    option_tell_idle(given, "num_train_epochs", t->max_steps > 0, "max_steps says when the run ends");
    option_tell_idle(given, "data_seed", t->no_shuffle, "samples come in the order of the files");
    option_tell_idle(given, "group_by_length", t->no_shuffle, "samples come in the order of the files");
    option_tell_idle(given, "adam_beta1", adafactor, "Adafactor has none");
    option_tell_idle(given, "adam_beta2", adafactor, "Adafactor has none");
    option_tell_idle(given, "adam_epsilon", adafactor, "Adafactor has none");
    option_tell_idle(given, "warmup_steps", cold, "this lr_scheduler_type has no warm-up");
    option_tell_idle(given, "warmup_ratio", cold, "this lr_scheduler_type has no warm-up");
    option_tell_idle(given, "warmup_ratio", !cold && t->warmup_steps > 0, "warmup_steps wins");
}

static void tell_log(const struct train_options *t, const struct options *given)
{
    bool events = false;

    for (size_t i = 0; i < t->report_to.count; i++)
        events |= strcmp(t->report_to.items[i], "none") != 0;
    option_tell_idle(given, "logging_steps",
                     t->logging_strategy != STRATEGY_STEPS && t->eval_strategy != STRATEGY_STEPS,
                     "logging_strategy is not steps");
    option_tell_idle(given, "logging_dir", !events, "report_to is none");
}

static void tell_evaluation(const struct train_options *t, const struct input_options *in,
                            const struct options *given)
{
    const char *no = "nothing is evaluated without --do_eval";

    option_tell_idle(given, "validation_file", !t->do_eval, no);
    option_tell_idle(given, "validation_split_percentage", !t->do_eval, no);
    option_tell_idle(given, "max_eval_samples", !t->do_eval, no);
    option_tell_idle(given, "per_device_eval_batch_size", !t->do_eval, no);
    option_tell_idle(given, "validation_split_percentage", t->do_eval && in->validation_file.count > 0,
                     "validation_file is evaluated");
    option_tell_idle(given, "eval_steps", t->eval_strategy != STRATEGY_STEPS, "eval_strategy is not steps");
    option_tell_idle(given, "eval_delay", t->eval_strategy == STRATEGY_NO, "there is no eval_strategy");
}

static void tell_saving(const struct train_options *t, const struct options *given)
{
    bool best = t->load_best_model_at_end || t->save_strategy == STRATEGY_BEST;

    option_tell_idle(given, "save_steps", t->save_strategy != STRATEGY_STEPS, "save_strategy is not steps");
    option_tell_idle(given, "save_total_limit", t->save_strategy == STRATEGY_NO, "save_strategy is no");
    option_tell_idle(given, "save_only_model", t->save_strategy == STRATEGY_NO, "save_strategy is no");
    option_tell_idle(given, "save_sharded", t->save_strategy == STRATEGY_NO, "save_strategy is no");
    option_tell_idle(given, "metric_for_best_model", !best && !lr_needs_evaluation(t->lr_scheduler_type),
                     "load_best_model_at_end is false");
}

void train_options_tell_idle(const struct train_options *t, const struct input_options *in,
                             const struct options *given)
{
    option_tell_idle(given, "dataset_config_name", !in->dataset_name, "there is no dataset_name");
    tell_evaluation(t, in, given);
    if (!t->do_train)
        return;
    tell_steps(t, given);
    tell_log(t, given);
    tell_saving(t, given);
}
