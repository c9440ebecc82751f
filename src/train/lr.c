/* The formulas are those of transformers/optimization.py. Every schedule is a factor of the peak; all but two
 * begin with the same straight warm-up. */
#include "train/lr.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"

static const double pi = 3.14159265358979323846;

enum shape { SHAPE_LINEAR, SHAPE_COSINE, SHAPE_ONE_MINUS_SQRT, SHAPES };

static const char *const shape_names[SHAPES] = { "linear", "cosine", "1-sqrt" };

static const char *const argument_names[LR_ARGUMENTS] = {
    [LR_NUM_CYCLES] = "num_cycles",
    [LR_POWER] = "power",
    [LR_END] = "lr_end",
    [LR_MIN] = "min_lr",
    [LR_MIN_RATE] = "min_lr_rate",
    [LR_WARMUP_RATE] = "warmup_lr_rate",
    [LR_DECAY_STEPS] = "num_decay_steps",
    [LR_STABLE_STEPS] = "num_stable_steps",
    [LR_TIMESCALE] = "timescale",
    [LR_MIN_RATIO] = "min_lr_ratio",
    [LR_WARMUP_TYPE] = "warmup_type",
    [LR_DECAY_TYPE] = "decay_type",
    [LR_FACTOR] = "factor",
    [LR_PATIENCE] = "patience",
    [LR_THRESHOLD] = "threshold",
    [LR_COOLDOWN] = "cooldown",
    [LR_EPS] = "eps",
};

/* ---- factors ---- */

static double at_least_one(double x)
{
    return x > 1 ? x : 1;
}

static double positive(double x)
{
    return x > 0 ? x : 0;
}

static double warming(const struct lr_schedule *s, double step)
{
    return step / at_least_one((double)s->warmup);
}

/* How much of the part after the warm-up is over. */
static double progress(const struct lr_schedule *s, double step)
{
    return (step - (double)s->warmup) / at_least_one((double)(s->total - s->warmup));
}

static double wave(double cycles)
{
    return 0.5 * (1 + cos(pi * cycles));
}

static double constant(const struct lr_schedule *s, double step)
{
    return 1;
}

static double linear(const struct lr_schedule *s, double step)
{
    return positive(((double)s->total - step) / at_least_one((double)(s->total - s->warmup)));
}

static double cosine(const struct lr_schedule *s, double step)
{
    return positive(wave(s->argument[LR_NUM_CYCLES] * 2 * progress(s, step)));
}

static double cosine_with_restarts(const struct lr_schedule *s, double step)
{
    double p = progress(s, step);

    return p >= 1 ? 0 : positive(wave(fmod(s->argument[LR_NUM_CYCLES] * p, 1)));
}

static double polynomial(const struct lr_schedule *s, double step)
{
    double end = s->argument[LR_END], left = 1 - (step - (double)s->warmup) / (double)(s->total - s->warmup);

    if (step >= (double)s->total)
        return end / s->peak;
    return ((s->peak - end) * pow(left, s->argument[LR_POWER]) + end) / s->peak;
}

static double inverse_sqrt(const struct lr_schedule *s, double step)
{
    double scale = s->argument[LR_TIMESCALE];

    return 1 / sqrt((step + scale - (double)s->warmup) / scale);
}

static double raised(double factor, double low)
{
    return positive(factor * (1 - low) + low);
}

static double cosine_with_min_lr(const struct lr_schedule *s, double step)
{
    return raised(wave(s->argument[LR_NUM_CYCLES] * 2 * progress(s, step)), s->argument[LR_MIN_RATE]);
}

static double cosine_warmup_with_min_lr(const struct lr_schedule *s, double step)
{
    double first = s->argument[LR_WARMUP_RATE], warmup = (double)s->warmup;

    if (step < warmup && isnan(first))
        return (step + 1) / at_least_one(warmup);
    if (step < warmup)
        return first + (1 - first) * step / at_least_one(warmup - 1);
    return cosine_with_min_lr(s, step + 1);
}

static double rising(enum shape shape, double p)
{
    return shape == SHAPE_LINEAR ? p : shape == SHAPE_COSINE ? 0.5 * (1 - cos(pi * p)) : 1 - sqrt(1 - p);
}

static double warmup_stable_decay(const struct lr_schedule *s, double step)
{
    double low = s->argument[LR_MIN_RATIO], decay = s->argument[LR_DECAY_STEPS];
    double begin = (double)s->warmup + s->argument[LR_STABLE_STEPS], p = (step - begin) / at_least_one(decay);
    enum shape shape = (enum shape)s->argument[LR_DECAY_TYPE];

    if (step < (double)s->warmup)
        return raised(rising((enum shape)s->argument[LR_WARMUP_TYPE], warming(s, step)), low);
    if (step < begin)
        return 1;
    if (step >= begin + decay)
        return low;
    if (shape == SHAPE_COSINE)
        return raised(wave(s->argument[LR_NUM_CYCLES] * 2 * p), low);
    return raised(shape == SHAPE_LINEAR ? 1 - p : 1 - sqrt(p), low);
}

/* ---- the table ---- */

#define TAKES(argument) (1u << (argument))

static const struct kind {
    double (*factor)(const struct lr_schedule *s, double step);
    bool cold;      /* no warm-up */
    bool own_start; /* the factor has a warm-up of its own */
    unsigned takes;
    double num_cycles;
} kinds[] = {
    { linear },
    { cosine, .takes = TAKES(LR_NUM_CYCLES), .num_cycles = 0.5 },
    { cosine_with_restarts, .takes = TAKES(LR_NUM_CYCLES), .num_cycles = 1 },
    { polynomial, .takes = TAKES(LR_END) | TAKES(LR_POWER) },
    { constant, .cold = true },
    { constant },
    { inverse_sqrt, .takes = TAKES(LR_TIMESCALE) },
    { cosine_with_min_lr, .takes = TAKES(LR_NUM_CYCLES) | TAKES(LR_MIN) | TAKES(LR_MIN_RATE),
      .num_cycles = 0.5 },
    { cosine_warmup_with_min_lr, .own_start = true,
      .takes = TAKES(LR_NUM_CYCLES) | TAKES(LR_MIN) | TAKES(LR_MIN_RATE) | TAKES(LR_WARMUP_RATE),
      .num_cycles = 0.5 },
    { warmup_stable_decay, .own_start = true,
      .takes = TAKES(LR_NUM_CYCLES) | TAKES(LR_DECAY_STEPS) | TAKES(LR_STABLE_STEPS) | TAKES(LR_MIN_RATIO) |
               TAKES(LR_WARMUP_TYPE) | TAKES(LR_DECAY_TYPE),
      .num_cycles = 0.5 },
    { constant, .cold = true,
      .takes = TAKES(LR_FACTOR) | TAKES(LR_PATIENCE) | TAKES(LR_THRESHOLD) | TAKES(LR_COOLDOWN) |
               TAKES(LR_MIN) | TAKES(LR_EPS) },
};

const char *const lr_names[] = {
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
    "reduce_lr_on_plateau",
    NULL,
};

double lr_at(const struct lr_schedule *s, int64_t step)
{
    const struct kind *k = &kinds[s->kind];

    if (step < s->warmup && !k->cold && !k->own_start)
        return s->peak * warming(s, (double)step);
    return s->peak * k->factor(s, (double)step);
}

bool lr_needs_evaluation(int kind)
{
    return (kinds[kind].takes & TAKES(LR_PATIENCE)) != 0;
}

bool lr_has_warmup(int kind)
{
    return !kinds[kind].cold;
}

void lr_plateau_take(const struct lr_schedule *s, struct lr_plateau *p, double metric, bool higher_is_better)
{
    const double *a = s->argument;
    double bound = p->best * (higher_is_better ? 1 + a[LR_THRESHOLD] : 1 - a[LR_THRESHOLD]), old, new;
    double least = isnan(a[LR_MIN]) ? 0 : a[LR_MIN];

    if (!lr_needs_evaluation(s->kind))
        return;
    p->bad++;
    if (isnan(p->best) || (higher_is_better ? metric > bound : metric < bound)) {
        p->best = metric;
        p->bad = 0;
    }
    if (p->cooldown > 0) {
        p->cooldown--;
        p->bad = 0;
    }
    if ((double)p->bad <= a[LR_PATIENCE])
        return;
    old = s->peak * p->factor;
    new = old *a[LR_FACTOR] > least ? old *a[LR_FACTOR] : least;
    if (old - new > a[LR_EPS])
        p->factor = new / s->peak;
    p->cooldown = (int64_t)a[LR_COOLDOWN];
    p->bad = 0;
}

/* ---- arguments ---- */

static double read_shape(struct json_reader *r)
{
    struct json_string text = { 0 };

    json_string(r, &text);
    for (int i = 0; i < SHAPES && json_status(r) == OK; i++)
        if (strlen(shape_names[i]) == text.length && memcmp(shape_names[i], text.data, text.length) == 0)
            return i;
    json_fail(r, "no such shape (expected linear, cosine or 1-sqrt)");
    return NAN;
}

static void read_argument(struct lr_schedule *s, struct json_reader *r)
{
    struct str takes;

    str_init(&takes);
    for (int i = 0; i < LR_ARGUMENTS; i++) {
        if (!(kinds[s->kind].takes & TAKES(i)))
            continue;
        str_appendf(&takes, "%s%s", takes.length ? ", " : "", argument_names[i]);
        if (!json_key_is(r, argument_names[i]))
            continue;
        if (json_peek(r) == JSON_NULL)
            json_null(r);
        else
            s->argument[i] = i == LR_WARMUP_TYPE || i == LR_DECAY_TYPE ? read_shape(r) : json_double(r);
        if (json_status(r) == OK && s->argument[i] < 0)
            json_fail(r, "below zero");
        goto out;
    }
    json_fail(r, "the schedule %s does not take this (expected %s)", lr_names[s->kind],
              takes.length ? takes.data : "nothing");
out:
    str_release(&takes);
}

static int read_arguments(struct lr_schedule *s, const char *text)
{
    struct json_reader r;
    struct json_string key;
    int status;

    json_reader_init(&r, "lr_scheduler_kwargs", text, strlen(text));
    r.meaning_status = ERR_USAGE;
    if (json_object_begin(&r))
        while (json_next_key(&r, &key))
            read_argument(s, &r);
    status = json_end(&r);
    json_reader_release(&r);
    return status == OK ? OK : ERR_USAGE;
}

static void preset(struct lr_schedule *s, enum lr_argument argument, double value)
{
    if (isnan(s->argument[argument]))
        s->argument[argument] = value;
}

static int check_floor(struct lr_schedule *s)
{
    if (!(kinds[s->kind].takes & TAKES(LR_MIN_RATE)))
        return OK;
    if (isnan(s->argument[LR_MIN]) == isnan(s->argument[LR_MIN_RATE]))
        return fail(ERR_USAGE,
                    "--lr_scheduler_type %s: needs min_lr or min_lr_rate, not both, in lr_scheduler_kwargs",
                    lr_names[s->kind]);
    preset(s, LR_MIN_RATE, s->peak > 0 ? s->argument[LR_MIN] / s->peak : 0);
    return OK;
}

static int check_stages(struct lr_schedule *s)
{
    if (!(kinds[s->kind].takes & TAKES(LR_DECAY_STEPS)))
        return OK;
    if (isnan(s->argument[LR_DECAY_STEPS]))
        return fail(ERR_USAGE, "--lr_scheduler_type %s: needs num_decay_steps in lr_scheduler_kwargs",
                    lr_names[s->kind]);
    preset(s, LR_STABLE_STEPS, (double)(s->total - s->warmup) - s->argument[LR_DECAY_STEPS]);
    if (s->argument[LR_STABLE_STEPS] < 0)
        return fail(ERR_USAGE, "num_decay_steps is %g, more than the %lld steps after the warm-up",
                    s->argument[LR_DECAY_STEPS], (long long)(s->total - s->warmup));
    return OK;
}

int lr_init(struct lr_schedule *s, const char *arguments)
{
    for (int i = 0; i < LR_ARGUMENTS; i++)
        s->argument[i] = NAN;
    if (arguments)
        TRY(read_arguments(s, arguments));
    preset(s, LR_NUM_CYCLES, kinds[s->kind].num_cycles);
    preset(s, LR_POWER, 1);
    preset(s, LR_END, 1e-7);
    preset(s, LR_TIMESCALE, s->warmup > 0 ? (double)s->warmup : 10000);
    preset(s, LR_MIN_RATIO, 0);
    preset(s, LR_WARMUP_TYPE, SHAPE_LINEAR);
    preset(s, LR_DECAY_TYPE, SHAPE_COSINE);
    preset(s, LR_FACTOR, 0.1);
    preset(s, LR_PATIENCE, 10);
    preset(s, LR_THRESHOLD, 1e-4);
    preset(s, LR_COOLDOWN, 0);
    preset(s, LR_EPS, 1e-8);
    if (kinds[s->kind].factor == polynomial && s->argument[LR_END] >= s->peak)
        return fail(ERR_USAGE, "lr_end (%g) must be smaller than initial lr (%g)", s->argument[LR_END],
                    s->peak);
    TRY(check_floor(s));
    return check_stages(s);
}
