#include "data/sample.h"

#include "base/err.h"
#include "base/mem.h"

int64_t sample_longest(const struct sample_source *source)
{
    return source->longest ? source->longest : source->max_length;
}

int64_t sample_longest_target(const struct sample_source *source)
{
    return source->longest_target ? source->longest_target : source->max_target;
}

void sample_init(struct sample *s, const struct sample_source *source)
{
    size_t length = (size_t)source->max_length, most = (size_t)source->max_target;
    *s = (struct sample){ .of_labels = source->of_labels };
    s->ids = mem_alloc_array(4 * length + (size_t)source->max_target + 1, sizeof(*s->ids));
    s->labels = s->ids + length;
    s->types = s->labels + length;
    s->starts = s->types + length;
    s->target = s->starts + length;
    most = !source->of_labels ? 1 : most > length ? most : length;
    s->numbers = mem_alloc_array((size_t)source->number_count * most + 1, sizeof(*s->numbers));
}

void sample_release(struct sample *s)
{
    mem_free(s->ids);
    mem_free(s->numbers);
    *s = (struct sample){ 0 };
}

struct tokens {
    const char *what;
    const int32_t *values;
    int64_t count, limit;
    bool labels;
};

static int check_tokens(int64_t index, const struct tokens *t)
{
    for (int64_t i = 0; i < t->count; i++)
        if (!((t->values[i] >= 0 && t->values[i] < t->limit) || (t->labels && t->values[i] == -100)))
            return fail(ERR_DATA, "sample %lld: %s %lld is %d (expected 0 to %lld%s)", (long long)index,
                        t->what, (long long)i, t->values[i], (long long)t->limit - 1,
                        t->labels ? ", or -100" : "");
    return OK;
}

static int check_length(int64_t index, const char *what, int64_t length, int64_t most)
{
    if (length < 1 || length > most)
        return fail(ERR_DATA, "sample %lld has %lld %s (expected 1 to %lld)", (long long)index,
                    (long long)length, what, (long long)most);
    return OK;
}

int sample_read(const struct sample_source *source, int64_t index, const struct sample_limits *limits,
                struct sample *s)
{
    int64_t limit = limits->vocab ? limits->vocab : INT32_MAX;
    s->length = s->start_count = s->target_length = 0;
    s->labelled = s->typed = false;
    s->class = -1;
    TRY(source->read(source->context, index, s));
    TRY(check_length(index, "tokens", s->length, sample_longest(source)));
    TRY(check_tokens(index, &(struct tokens){ "token", s->ids, s->length, limit, false }));
    if (s->labelled)
        TRY(check_tokens(index, &(struct tokens){ "label", s->labels, s->length, limit, true }));
    if (s->typed && limits->types)
        TRY(check_tokens(index, &(struct tokens){ "token type", s->types, s->length, limits->types, false }));
    if (source->max_target == 0)
        return OK;
    TRY(check_length(index, "tokens to write", s->target_length, sample_longest_target(source)));
    return check_tokens(index, &(struct tokens){ "target token", s->target, s->target_length, limit, false });
}
