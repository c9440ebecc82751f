#include "tok/pattern.h"

#include "base/err.h"

static int compile(const struct component_source *s, const struct node *n, struct regex **out)
{
    struct regex_error error;

    TRY(node_expect(s->tree, n, JSON_STRING));
    if (regex_compile(n->text, n->length, out, &error))
        return OK;
    return node_fail(s->tree, n, "byte %zu of the pattern: %s", error.at, error.what);
}

int pattern_read(const struct component_source *s, const struct node *n, const char *key, struct regex **out)
{
    const struct node *pattern = node_get(n, key), *text;

    if (!pattern)
        return node_fail(s->tree, n,
                         "\"%s\" is missing (expected {\"String\": text} or {\"Regex\": pattern})", key);
    if (pattern->type == JSON_OBJECT && pattern->count == 1) {
        text = node_get(pattern, "Regex");
        if (text)
            return compile(s, text, out);
        text = node_get(pattern, "String");
        if (text) {
            TRY(node_expect(s->tree, text, JSON_STRING));
            *out = regex_literal(text->text, text->length);
            return OK;
        }
    }
    return node_fail(s->tree, pattern, "no pattern (expected {\"String\": text} or {\"Regex\": pattern})");
}

int split_behavior_read(const struct component_source *s, const struct node *n, enum split_behavior *out)
{
    static const char *const names[] = { "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                         "Contiguous" };
    const struct node *name = node_get(n, "behavior");

    if (!name)
        return OK;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!node_is(name, names[i]))
            continue;
        *out = (enum split_behavior)i;
        return OK;
    }
    return node_fail(s->tree, name,
                     "not known (expected Removed, Isolated, MergedWithPrevious, "
                     "MergedWithNext or Contiguous)");
}

/* ---- parts ---- */

static int emit(struct splitter *s)
{
    struct piece p;

    if (!s->waiting || s->begin == s->end)
        return OK;
    p = piece_slice(s->in, s->begin, s->end);
    return s->out->emit(s->out, &p);
}

/* Does a part go together with the one that waits? */
static bool joins(const struct splitter *s, bool match)
{
    switch (s->behavior) {
    case SPLIT_PREVIOUS: return match && !s->match;
    case SPLIT_NEXT: return !match && s->match;
    case SPLIT_CONTIGUOUS: return match == s->match;
    default: return false;
    }
}

int splitter_part(struct splitter *s, size_t begin, size_t end, bool match)
{
    if (s->behavior == SPLIT_REMOVED && match)
        return OK;
    if (s->waiting && joins(s, match)) {
        s->end = end;
        s->match = match;
        return OK;
    }
    TRY(emit(s));
    s->waiting = true;
    s->begin = begin;
    s->end = end;
    s->match = match;
    return OK;
}

int splitter_finish(struct splitter *s)
{
    int status = emit(s);

    s->waiting = false;
    return status;
}
