/* A caller's own samples: arrays under the names of transformers' arguments become a struct sample, checked
 * as they come. */
#include "api/samples.h"

#include <inttypes.h>
#include <string.h>

enum { NO_LABEL = -100 };

struct plait_sample {
    const struct own_source *own;
    struct sample *s;
    int status;           /* of the first array that was wrong */
    int64_t kept;         /* tokens that attention_mask leaves; -1: all */
    int64_t types, label; /* how many there are, of each; -1: none. label: tokens' own */
    int64_t numbers;      /* the same of targets: tokens */
};

/* ---- elements ---- */

static int wrong_type(const struct named_tensor *t, const char *expected)
{
    return fail(ERR_DATA, "%s: elements are %s, expected %s", t->name, t->type, expected);
}

static int check_count(const struct named_tensor *t, int64_t least, int64_t most)
{
    if (t->count >= least && t->count <= most)
        return OK;
    return fail(ERR_DATA,
                "%s: wrong number of elements (found %" PRId64 ", expected %" PRId64 " to %" PRId64 ")",
                t->name, t->count, least, most);
}

static int64_t element(const struct named_tensor *t, int64_t i)
{
    const struct plait_array *a = t->from;

    return a->type == PLAIT_INT64 ? ((const int64_t *)a->data)[i] : ((const int32_t *)a->data)[i];
}

static int copy_ints(const struct named_tensor *t, int64_t count, int32_t *out)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t v = element(t, i);
        if (v < INT32_MIN || v > INT32_MAX)
            return fail(ERR_DATA, "%s: element %" PRId64 " is %" PRId64 " (expected a token id)", t->name, i,
                        v);
        out[i] = (int32_t)v;
    }
    return OK;
}

static int take_ints(const struct named_tensor *t, int64_t most, int32_t *out)
{
    if (t->kind != NAMED_INT)
        return wrong_type(t, "integers");
    TRY(check_count(t, 1, most));
    return copy_ints(t, t->count, out);
}

static int take_floats(const struct named_tensor *t, int64_t count, float *out)
{
    TRY(check_count(t, count, count));
    for (int64_t i = 0; i < count; i++)
        out[i] = t->kind == NAMED_FLOAT ? ((const float *)((const struct plait_array *)t->from)->data)[i]
                                        : (float)element(t, i);
    return OK;
}

/* ---- what there is ---- */

static int take_ids(struct plait_sample *p, const struct named_tensor *t)
{
    TRY(take_ints(t, p->own->given.max_length, p->s->ids));
    p->s->length = t->count;
    return OK;
}

static int take_types(struct plait_sample *p, const struct named_tensor *t)
{
    TRY(take_ints(t, p->own->given.max_length, p->s->types));
    p->s->typed = true;
    p->types = t->count;
    return OK;
}

/* Rows are never padded here, so tokens that nobody may attend to can only be left out at the end. */
static int take_mask(struct plait_sample *p, const struct named_tensor *t)
{
    if (t->kind != NAMED_INT)
        return wrong_type(t, "integers");
    TRY(check_count(t, 1, p->own->given.max_length));
    for (p->kept = 0; p->kept < t->count && element(t, p->kept) != 0;)
        p->kept++;
    for (int64_t i = p->kept; i < t->count; i++)
        if (element(t, i) != 0)
            return fail(ERR_DATA,
                        "attention_mask: element %" PRId64 " is 1 after a 0 (expected padding at the end)",
                        i);
    return OK;
}

/* What an encoder's decoder writes; -100 at the end is padding. */
static int take_target(struct plait_sample *p, const struct named_tensor *t)
{
    TRY(take_ints(t, p->own->source->max_target, p->s->target));
    p->s->target_length = t->count;
    while (p->s->target_length > 0 && p->s->target[p->s->target_length - 1] == NO_LABEL)
        p->s->target_length--;
    return OK;
}

static int take_class(struct plait_sample *p, const struct named_tensor *t)
{
    if (p->own->objective->classes == 0) {
        p->numbers = 1;
        return take_floats(t, p->own->source->number_count, p->s->numbers);
    }
    return take_ints(t, 1, &p->s->class);
}

static int take_labels(struct plait_sample *p, const struct named_tensor *t)
{
    const struct objective *o = p->own->objective;

    if (o->kind == OBJECTIVE_CLASSIFICATION)
        return take_class(p, t);
    if (p->own->source->max_target > 0)
        return take_target(p, t);
    TRY(take_ints(t, p->own->given.max_length, p->s->labels));
    p->s->labelled = true;
    p->label = t->count;
    return OK;
}

static int take_targets(struct plait_sample *p, const struct named_tensor *t)
{
    const struct own_source *own = p->own;
    int64_t width = own->given.target_width, most = own->given.max_length;

    if (!p->s->of_labels)
        return fail(ERR_DATA,
                    "targets: nobody asks for them (found no target_width, or labels that are numbers)");
    if (own->objective->kind == OBJECTIVE_CLASSIFICATION) {
        p->numbers = 1;
        return take_floats(t, width, p->s->numbers);
    }
    most = own->source->max_target > most ? own->source->max_target : most;
    if (t->count % width != 0)
        return fail(ERR_DATA,
                    "targets: wrong number of elements (found %" PRId64 ", expected %" PRId64 " for each "
                    "label)",
                    t->count, width);
    TRY(check_count(t, width, most * width));
    p->numbers = t->count / width;
    return take_floats(t, t->count, p->s->numbers);
}

static const struct {
    const char *name;
    int (*take)(struct plait_sample *p, const struct named_tensor *t);
} inputs[] = { { "input_ids", take_ids },
               { "attention_mask", take_mask },
               { "token_type_ids", take_types },
               { "labels", take_labels },
               { "targets", take_targets } };

static int take(struct plait_sample *p, const struct plait_array *array)
{
    struct named_tensor t;

    TRY(array_take("plait_sample_set", array, &t));
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
        if (strcmp(t.name, inputs[i].name) == 0)
            return inputs[i].take(p, &t);
    return fail(
        ERR_DATA,
        "%.60s: samples have no such input (expected input_ids, attention_mask, token_type_ids, labels or "
        "targets)",
        t.name);
}

int plait_sample_set(struct plait_sample *sample, const struct plait_array *array)
{
    if (sample && sample->status != OK) /* its sentence stays */
        return sample->status;
    TRY(api_begin("plait_sample_set", sample, "sample"));
    TRY(api_require("plait_sample_set", array, "array"));
    sample->status = take(sample, array);
    return sample->status;
}

/* ---- reading one ---- */

static int check_length(const char *what, int64_t found, int64_t expected)
{
    if (found < 0 || found == expected)
        return OK;
    return fail(ERR_DATA,
                "%s has not as many elements as its tokens (found %" PRId64 ", expected %" PRId64 ")", what,
                found, expected);
}

static int check_lengths(const struct plait_sample *p)
{
    int64_t tokens = p->s->length, labels = p->own->source->max_target > 0 ? p->s->target_length : tokens;
    bool class = p->own->objective->kind == OBJECTIVE_CLASSIFICATION;

    TRY(check_length("token_type_ids", p->types, tokens));
    TRY(check_length("labels", p->label, tokens));
    if (p->own->source->number_count > 0 && p->numbers < (class ? 1 : labels))
        return fail(ERR_DATA, "%s are missing, or too few (found those of %" PRId64 ", expected %" PRId64 ")",
                    p->s->of_labels ? "targets" : "labels", p->numbers > 0 ? p->numbers : 0,
                    class ? 1 : labels);
    if (class && p->own->objective->classes > 0 && p->s->class < 0)
        return fail(ERR_DATA, "labels are missing, or no class (found %" PRId32 ")", p->s->class);
    return OK;
}

int own_source_read(void *context, int64_t index, struct sample *s)
{
    const struct own_source *own = context;
    struct plait_sample p = { .own = own, .s = s, .kept = -1, .types = -1, .label = -1, .numbers = -1 };
    int status;

    error_clear();
    status = own->given.read(own->given.context, index, &p);
    if (status == 0)
        status = p.status == OK ? check_lengths(&p) : p.status;
    else if (!*error_message())
        status = fail(ERR_DATA, "the caller's read failed");
    if (status != OK) {
        error_prefix("sample %" PRId64 ": ", index);
        return ERR_DATA;
    }
    s->length = p.kept >= 0 && p.kept < s->length ? p.kept : s->length;
    return OK;
}

int own_source_take(struct own_source *own, const struct plait_model *m, const struct plait_samples *given,
                    struct sample_source *out)
{
    int64_t positions = model_position_limit(&m->model.config.sizes);
    struct plait_samples *s = &own->given;

    TRY(api_take("plait_samples", given, s, sizeof(*s), sizeof(*s)));
    if (!s->read)
        return fail(ERR_USAGE, "struct plait_samples: read is NULL");
    if (s->count < 1 || s->max_length < 1 || s->max_length > positions || s->max_length > INT32_MAX)
        return fail(ERR_USAGE,
                    "struct plait_samples: count and max_length cannot be (found %" PRId64 " and %" PRId64
                    ", expected at least 1, and at most the model's %" PRId64 " positions)",
                    s->count, s->max_length, positions);
    if (s->max_labels < 0 || s->max_labels > INT32_MAX || s->target_width < 0 || s->target_width > INT32_MAX)
        return fail(ERR_USAGE,
                    "struct plait_samples: max_labels and target_width cannot be (found %" PRId64
                    " and %" PRId64 ", expected at least 0)",
                    s->max_labels, s->target_width);
    *out = (struct sample_source){ .count = s->count,
                                   .max_length = s->max_length,
                                   .max_target = s->max_labels ? s->max_labels : s->max_length,
                                   .read = own_source_read,
                                   .context = own };
    return OK;
}
