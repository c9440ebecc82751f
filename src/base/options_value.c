/* Values of options: text to value with every check, and back. */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/log.h"
#include "base/options_internal.h"

enum { EXCERPT = 60, MAX_WORDS = 64 };

union option_value {
    bool b;
    int64_t i;
    double d;
    const char *s;
    int choice;
};

bool option_text_is_bool(const char *text, bool *v)
{
    static const char *const words[] = { "false", "no", "f", "n", "0", "true", "yes", "t", "y", "1" };
    for (size_t i = 0; i < 10; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *v = i >= 5;
            return true;
        }
    }
    return false;
}

void option_append_range(const struct option *option, struct str *s)
{
    if (option->min == 0 && option->max == 0)
        return;
    if (option->max < option->min || isinf(option->max))
        str_appendf(s, "of at least %.15g", option->min);
    else
        str_appendf(s, "from %.15g to %.15g", option->min, option->max);
}

static void append_choices(const struct option *option, struct str *s)
{
    for (size_t i = 0; option->choices[i]; i++)
        str_appendf(s, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
}

void option_append_expected(const struct option *option, struct str *s)
{
    if (option->type == OPTION_BOOL) {
        str_append(s, "true or false");
    } else if (option->type == OPTION_INT || option->type == OPTION_DOUBLE) {
        str_append(s, option->type == OPTION_INT ? "an integer" : "a number");
        if (option->min != 0 || option->max != 0)
            str_append_char(s, ' ');
        option_append_range(option, s);
        if (option->type == OPTION_INT && option->choices) {
            str_append(s, ", or ");
            append_choices(option, s);
        }
    } else if (option->type == OPTION_CHOICE) {
        str_append(s, "one of ");
        append_choices(option, s);
    } else {
        str_append(s, "a value");
    }
}

/* "WHAT (found "text", expected ...)"; always false. */
static bool refuse(const struct option *option, const char *what, const char *text, struct str *why)
{
    str_appendf(why, "%s (found \"", what);
    str_append_escaped(why, text, strlen(text), EXCERPT);
    str_append(why, "\", expected ");
    option_append_expected(option, why);
    if (option->type == OPTION_CHOICE) {
        size_t n = 0;
        while (option->choices[n])
            n++;
        const char *nearest = str_nearest(text, option->choices, n);
        if (nearest)
            str_appendf(why, "; did you mean %s?", nearest);
    }
    str_append_char(why, ')');
    return false;
}

static bool in_range(const struct option *option, double v)
{
    if (option->min == 0 && option->max == 0)
        return true;
    return v >= option->min && (option->max < option->min || v <= option->max);
}

static int choice_index(const struct option *option, const char *text)
{
    for (int i = 0; option->choices && option->choices[i]; i++)
        if (strcmp(option->choices[i], text) == 0)
            return i;
    return -1;
}

static bool parse_int(const struct option *option, const char *text, int64_t *v, struct str *why)
{
    char *end;
    int word = choice_index(option, text);
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (word >= 0) {
        *v = OPTION_WORD(word);
        return true;
    }
    if (!isdigit((unsigned char)digits[0]))
        return refuse(option, "no integer", text, why);
    errno = 0;
    *v = strtoll(text, &end, 10);
    if (*end)
        return refuse(option, "no integer", text, why);
    bool word_room = option->choices && *v < OPTION_WORD(MAX_WORDS);
    if (errno == ERANGE || word_room || !in_range(option, (double)*v))
        return refuse(option, "out of range", text, why);
    return true;
}

static bool parse_double(const struct option *option, const char *text, double *v, struct str *why)
{
    char *end;
    if (text[0] == 0 || text[strspn(text, "0123456789+-.eE")] != 0)
        return refuse(option, "no number", text, why);
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    *v = strtod_l(text, &end, c);
    freelocale(c);
    if (end == text || *end)
        return refuse(option, "no number", text, why);
    if (!isfinite(*v) || !in_range(option, *v))
        return refuse(option, "out of range", text, why);
    return true;
}

static bool parse_scalar(struct options *o, const struct option *option, const char *text,
                         union option_value *v, struct str *why)
{
    switch (option->type) {
    case OPTION_BOOL:
        return option_text_is_bool(text, &v->b) || refuse(option, "neither true nor false", text, why);
    case OPTION_INT: return parse_int(option, text, &v->i, why);
    case OPTION_DOUBLE: return parse_double(option, text, &v->d, why);
    case OPTION_STRING: v->s = arena_strdup(&o->memory, text); return true;
    case OPTION_CHOICE:
        v->choice = choice_index(option, text);
        return v->choice >= 0 || refuse(option, "no value of this option", text, why);
    default: return true;
    }
}

static void store(const struct option *option, const union option_value *v, void *member)
{
    switch (option->type) {
    case OPTION_BOOL: *(bool *)member = v->b; break;
    case OPTION_INT: *(int64_t *)member = v->i; break;
    case OPTION_DOUBLE: *(double *)member = v->d; break;
    case OPTION_STRING: *(const char **)member = v->s; break;
    case OPTION_CHOICE: *(int *)member = v->choice; break;
    default: break;
    }
}

static bool string_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool equals(const struct option *option, const union option_value *v, const void *member)
{
    switch (option->type) {
    case OPTION_BOOL: return *(const bool *)member == v->b;
    case OPTION_INT: return *(const int64_t *)member == v->i;
    case OPTION_DOUBLE: return *(const double *)member == v->d;
    case OPTION_STRING: return string_equal(*(const char *const *)member, v->s);
    case OPTION_CHOICE: return *(const int *)member == v->choice;
    default: return true;
    }
}

void option_append_value(const struct option *option, const void *member, struct str *s)
{
    struct json_writer w;
    const struct option_list *list = member;
    int64_t i;
    switch (option->type) {
    case OPTION_BOOL: str_append(s, *(const bool *)member ? "true" : "false"); break;
    case OPTION_INT:
        i = *(const int64_t *)member;
        if (option->choices && i < OPTION_WORD(MAX_WORDS))
            str_append(s, option->choices[i - INT64_MIN]);
        else
            str_appendf(s, "%lld", (long long)i);
        break;
    case OPTION_DOUBLE:
        json_writer_init(&w, s, 0);
        json_write_double(&w, *(const double *)member);
        break;
    case OPTION_STRING:
        str_append(s, *(const char *const *)member ? *(const char *const *)member : "");
        break;
    case OPTION_CHOICE:
        str_append(s, *(const int *)member < 0 ? "" : option->choices[*(const int *)member]);
        break;
    case OPTION_LIST:
        for (size_t j = 0; j < list->count; j++)
            str_appendf(s, "%s%s", j ? " " : "", list->items[j]);
        break;
    default: break;
    }
}

/* ---- assignment ---- */

static bool same_name(const struct option_input *in, const struct option_ref *ref)
{
    return option_name_equals(in->name, strlen(in->name), ref->seen->name, strlen(ref->seen->name));
}

/* Sentence for a second, different value; always false. */
static bool contradiction(const struct option_ref *ref, const struct option_input *in, const char *text,
                          struct str *why)
{
    if (same_name(in, ref))
        str_append(why, "given twice with different values (found \"");
    else
        str_appendf(why, "another name of %s, which has another value (found \"", ref->seen->name);
    str_append_escaped(why, text, strlen(text), EXCERPT);
    str_append(why, "\" after \"");
    option_append_value(ref->option, ref->member, why);
    str_append(why, "\")");
    return false;
}

static bool list_equals(const struct option_list *list, const struct option_input *in)
{
    bool same = list->count == in->count;
    for (size_t i = 0; same && i < in->count; i++)
        same = strcmp(list->items[i], in->texts[i]) == 0;
    return same;
}

/* Whether the value given is the one that the member has. */
static bool is_current(struct options *o, const struct option_ref *ref, const struct option_input *in)
{
    union option_value v = { 0 };
    struct str ignored;
    if (ref->option->type == OPTION_LIST)
        return list_equals(ref->member, in);
    str_init(&ignored);
    bool same =
        parse_scalar(o, ref->option, in->texts[0], &v, &ignored) && equals(ref->option, &v, ref->member);
    str_release(&ignored);
    return same;
}

static bool assign_list(struct options *o, const struct option_ref *ref, const struct option_input *in,
                        struct str *why)
{
    struct option_list *list = ref->member;
    size_t keep = ref->seen->source == in->source ? list->count : 0;
    if (keep > 0 && !same_name(in, ref))
        return list_equals(list, in) || contradiction(ref, in, in->count ? in->texts[0] : "", why);
    const char **items = arena_alloc(&o->memory, (keep + in->count) * sizeof(*items));
    for (size_t i = 0; i < keep; i++)
        items[i] = list->items[i];
    for (size_t i = 0; i < in->count; i++)
        items[keep + i] = arena_strdup(&o->memory, in->texts[i]);
    *list = (struct option_list){ .items = items, .count = keep + in->count };
    return true;
}

static bool assign_scalar(struct options *o, const struct option_ref *ref, const struct option_input *in,
                          struct str *why)
{
    union option_value v;
    if (!parse_scalar(o, ref->option, in->texts[0], &v, why))
        return false;
    if (ref->seen->source == in->source && !equals(ref->option, &v, ref->member))
        return contradiction(ref, in, in->texts[0], why);
    store(ref->option, &v, ref->member);
    return true;
}

static bool is_allowed(const struct option *option, const char *text)
{
    bool a, b;
    if (!option->choices)
        return false;
    if (option_text_is_bool(text, &a) && option_text_is_bool(option->choices[0], &b))
        return a == b;
    return strcmp(text, option->choices[0]) == 0;
}

/* The value that a switch (--bf16, --no_NAME) stands for; NULL: *why is set, or it is off and stands for
 * nothing. */
static const char *switch_value(const struct option_ref *ref, const char *text, struct str *why)
{
    bool on;
    if (!option_text_is_bool(text, &on)) {
        str_append(why, "a switch (found \"");
        str_append_escaped(why, text, strlen(text), EXCERPT);
        str_append(why, "\", expected true, false or nothing)");
        return NULL;
    }
    if (ref->negated)
        return on ? "false" : "true";
    return on ? ref->fixed : NULL;
}

static bool assign_resolved(struct options *o, const struct option_ref *ref, const struct option_input *in,
                            struct str *why)
{
    const struct option *option = ref->option;
    if (option->type == OPTION_REFUSE && !is_allowed(option, in->count ? in->texts[0] : "")) {
        str_append(why, option->help);
        return false;
    }
    if (option->type == OPTION_NOTE)
        note("--%s: %s", in->name, option->help);
    if (option->type == OPTION_REFUSE || option->type == OPTION_NOTE)
        return true;
    return option->type == OPTION_LIST ? assign_list(o, ref, in, why) : assign_scalar(o, ref, in, why);
}

bool option_assign(struct options *o, const struct option_ref *ref, const struct option_input *in,
                   struct str *why)
{
    struct option_input resolved = *in;
    const char *text;
    if (ref->fixed || ref->negated) {
        text = switch_value(ref, in->texts[0], why);
        if (!text)
            return why->length == 0;
        resolved.texts = &text;
        resolved.count = 1;
    }
    bool quiet = in->quiet_default && ref->option->preset && ref->seen->source == SOURCE_NONE &&
                 is_current(o, ref, &resolved);
    if (!assign_resolved(o, ref, &resolved, why))
        return false;
    if (quiet)
        return true;
    if (ref->seen->source != in->source)
        ref->seen->name = arena_strdup(&o->memory, in->name);
    ref->seen->source = in->source;
    return true;
}

static void set_preset_list(struct options *o, const char *preset, struct option_list *list)
{
    size_t n = 0, length;
    const char **items = arena_alloc(&o->memory, (strlen(preset) / 2 + 1) * sizeof(*items));
    for (const char *p = preset; *p; p += length) {
        p += strspn(p, " ");
        length = strcspn(p, " ");
        if (length > 0)
            items[n++] = arena_strndup(&o->memory, p, length);
    }
    *list = (struct option_list){ .items = items, .count = n };
}

void option_set_preset(struct options *o, const struct option *option, void *member)
{
    union option_value v = { 0 };
    struct str why;
    if (option->type == OPTION_NOTE || option->type == OPTION_REFUSE)
        return;
    if (option->type == OPTION_LIST) {
        set_preset_list(o, option->preset ? option->preset : "", member);
        return;
    }
    if (option->type == OPTION_CHOICE)
        v.choice = -1;
    str_init(&why);
    if (option->preset && !parse_scalar(o, option, option->preset, &v, &why))
        BUG("preset of option %s: %s", option->name, why.data);
    for (size_t i = 0; option->aliases && option->aliases[i]; i++) {
        union option_value ignored;
        const char *value = strchr(option->aliases[i], '=');
        if (value && !parse_scalar(o, option, value + 1, &ignored, &why))
            BUG("alias %s of option %s: %s", option->aliases[i], option->name, why.data);
    }
    str_release(&why);
    store(option, &v, member);
}
