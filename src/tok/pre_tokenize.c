/* Pre-tokenizers that cut at patterns: "Split", and at characters of a class: "Whitespace", "Punctuation" and
 * the like. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/pattern.h"
#include "tok/types.h"
#include "tok/unicode.h"

/* ---- Split ---- */

struct split_pattern {
    struct regex *pattern;
    enum split_behavior behavior;
    bool invert; /* what lies between the matches counts as matches */
};

static void split_release(void *state)
{
    struct split_pattern *s = state;

    regex_free(s->pattern);
    mem_free(s);
}

static int split_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "pattern", "behavior", "invert", NULL };
    struct split_pattern p = { .behavior = SPLIT_ISOLATED }, *out;

    if (!node_get(n, "behavior"))
        return node_fail(s->tree, n, "\"behavior\" is missing (expected a string)");
    TRY(split_behavior_read(s, n, &p.behavior));
    TRY(node_bool(s->tree, n, "invert", &p.invert));
    node_warn_unknown(s->tree, n, known);
    TRY(pattern_read(s, n, "pattern", &p.pattern));
    out = mem_alloc(sizeof(*out));
    *out = p;
    *state = out;
    return OK;
}

static int split_matches(const struct split_pattern *s, struct regex_scan *scan, struct splitter *parts)
{
    size_t begin, end, last = 0;
    bool found;

    for (;;) {
        TRY(regex_next(scan, &found, &begin, &end));
        if (!found)
            break;
        if (begin > last)
            TRY(splitter_part(parts, last, begin, s->invert));
        TRY(splitter_part(parts, begin, end, !s->invert));
        last = end;
    }
    if (last < scan->length)
        TRY(splitter_part(parts, last, scan->length, s->invert));
    return splitter_finish(parts);
}

static int split(const void *state, const struct piece *in, struct sink *out)
{
    const struct split_pattern *s = state;
    struct splitter parts = { .behavior = s->behavior, .in = in, .out = out };
    struct regex_scan scan;
    int status;

    regex_begin(&scan, s->pattern, in->bytes, in->length);
    status = split_matches(s, &scan, &parts);
    regex_end(&scan);
    return status;
}

const struct component_type pre_tokenizer_split = {
    .name = "Split",
    .parse = split_parse,
    .release = split_release,
    .split = split,
};

/* ---- characters of a class ---- */

/* The class of the character at p < end, for a pre-tokenizer; its length. Broken bytes are of no class. */
static unsigned simple_class(const char *p, const char *end, size_t *length)
{
    uint32_t code;
    int n = utf8_decode(p, end, &code);

    *length = n > 0 ? (size_t)n : 1;
    return n > 0 ? unicode_class(code) : 0;
}

static unsigned flags(const char *p, const char *end, size_t *length)
{
    uint32_t code;
    int n = utf8_decode(p, end, &code);

    *length = n > 0 ? (size_t)n : 1;
    return n > 0 ? unicode_kind(code)->flags : 0;
}

/* Cuts at each character whose class has one of the bits: each is a match of its own. */
static int split_chars(const struct piece *in, struct sink *out, enum split_behavior behavior,
                       unsigned (*class)(const char *p, const char *end, size_t *length), unsigned bits)
{
    struct splitter parts = { .behavior = behavior, .in = in, .out = out };
    const char *end = in->bytes + in->length;
    size_t last = 0, n;

    for (size_t at = 0; at < in->length; at += n) {
        if (!(class(in->bytes + at, end, &n) & bits))
            continue;
        if (at > last)
            TRY(splitter_part(&parts, last, at, false));
        TRY(splitter_part(&parts, at, at + n, true));
        last = at + n;
    }
    if (last < in->length)
        TRY(splitter_part(&parts, last, in->length, false));
    return splitter_finish(&parts);
}

static int whitespace_split(const void *state, const struct piece *in, struct sink *out)
{
    return split_chars(in, out, SPLIT_REMOVED, simple_class, UNICODE_SPACE);
}

const struct component_type pre_tokenizer_whitespace_split = {
    .name = "WhitespaceSplit",
    .split = whitespace_split,
};

/* Runs of word characters, and runs of what is neither word nor white space. */
static int whitespace(const void *state, const struct piece *in, struct sink *out)
{
    const char *end = in->bytes + in->length;
    size_t begin = 0, n;
    unsigned last = UNICODE_SPACE;

    for (size_t at = 0; at <= in->length; at += n) {
        unsigned class = UNICODE_SPACE;
        n = 1;
        if (at < in->length)
            class = simple_class(in->bytes + at, end, &n) & (UNICODE_SPACE | UNICODE_WORD);
        if (class == last && at < in->length)
            continue;
        if (last != UNICODE_SPACE && at > begin) {
            struct piece p = piece_slice(in, begin, at);
            TRY(out->emit(out, &p));
        }
        begin = at;
        last = class;
    }
    return OK;
}

const struct component_type pre_tokenizer_whitespace = {
    .name = "Whitespace",
    .split = whitespace,
};

/* ---- Punctuation, BertPreTokenizer ---- */

static int punctuation_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "behavior", NULL };
    enum split_behavior behavior = SPLIT_ISOLATED, *out;

    TRY(split_behavior_read(s, n, &behavior));
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    *out = behavior;
    *state = out;
    return OK;
}

static int punctuation(const void *state, const struct piece *in, struct sink *out)
{
    const enum split_behavior *behavior = state;

    return split_chars(in, out, *behavior, flags, UNICODE_PUNCTUATION);
}

const struct component_type pre_tokenizer_punctuation = {
    .name = "Punctuation",
    .parse = punctuation_parse,
    .release = mem_free,
    .split = punctuation,
};

struct bert_sink {
    struct sink sink;
    struct sink *out;
};

static int bert_emit(struct sink *s, const struct piece *p)
{
    return split_chars(p, ((struct bert_sink *)s)->out, SPLIT_ISOLATED, flags, UNICODE_PUNCTUATION);
}

static int bert(const void *state, const struct piece *in, struct sink *out)
{
    struct bert_sink words = { .sink.emit = bert_emit, .out = out };

    return split_chars(in, &words.sink, SPLIT_REMOVED, simple_class, UNICODE_SPACE);
}

const struct component_type pre_tokenizer_bert = { .name = "BertPreTokenizer", .split = bert };

/* ---- Digits ---- */

static int digits_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "individual_digits", NULL };
    bool individual = false, *out;

    TRY(node_bool(s->tree, n, "individual_digits", &individual));
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    *out = individual;
    *state = out;
    return OK;
}

static int digits(const void *state, const struct piece *in, struct sink *out)
{
    const bool *individual = state;

    return split_chars(in, out, *individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, flags, UNICODE_NUMERIC);
}

const struct component_type pre_tokenizer_digits = {
    .name = "Digits",
    .parse = digits_parse,
    .release = mem_free,
    .split = digits,
};

/* ---- CharDelimiterSplit ---- */

/* One character, cut out wherever it stands. */
static int delimiter_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "delimiter", NULL };
    struct split_pattern *out;
    const struct node *delimiter;
    uint32_t code;

    TRY(node_require(s->tree, n, "delimiter", JSON_STRING, &delimiter));
    if (delimiter->length == 0 ||
        (size_t)utf8_decode(delimiter->text, delimiter->text + delimiter->length, &code) != delimiter->length)
        return node_fail(s->tree, delimiter, "not one character");
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    out->pattern = regex_literal(delimiter->text, delimiter->length);
    out->behavior = SPLIT_REMOVED;
    *state = out;
    return OK;
}

const struct component_type pre_tokenizer_delimiter = {
    .name = "CharDelimiterSplit",
    .parse = delimiter_parse,
    .release = split_release,
    .split = split,
};

/* ---- UnicodeScripts ---- */

/* SentencePiece's view of scripts: kana are Han, and a blank or an unknown character goes with any. Four
 * characters were of other scripts when the table was made. */
static const char *script_at(const char *p, const char *end, size_t *length)
{
    uint32_t code;
    int n = utf8_decode(p, end, &code);
    const struct unicode_kind *kind;
    const char *script;

    *length = n > 0 ? (size_t)n : 1;
    if (n == 0 || code == ' ')
        return NULL;
    kind = unicode_kind(code);
    script = unicode_scripts[kind->script];
    if (!(kind->flags & UNICODE_SCRIPTED))
        return NULL;
    if (code == 0x589 || code == 0x61C)
        return "Common";
    if (code == 0x953 || code == 0x954)
        return "Devanagari";
    if (code == 0x30FC || strcmp(script, "Hiragana") == 0 || strcmp(script, "Katakana") == 0)
        return "Han";
    return script;
}

/* As in tokenizers, blanks and unknown characters that begin a text are lost. */
static int scripts(const void *state, const struct piece *in, struct sink *out)
{
    const char *end = in->bytes + in->length, *last = "", *script;
    size_t begin = in->length, n;

    for (size_t at = 0; at < in->length; at += n) {
        script = script_at(in->bytes + at, end, &n);
        if (script && strcmp(script, last) != 0) {
            if (begin < at) {
                struct piece p = piece_slice(in, begin, at);
                TRY(out->emit(out, &p));
            }
            begin = at;
            last = script;
        }
    }
    if (begin < in->length) {
        struct piece p = piece_slice(in, begin, in->length);
        return out->emit(out, &p);
    }
    return OK;
}

const struct component_type pre_tokenizer_scripts = { .name = "UnicodeScripts", .split = scripts };

/* ---- FixedLength ---- */

static int fixed_parse(const struct component_source *s, const struct node *n, void **state)
{
    static const char *const known[] = { "type", "length", NULL };
    int64_t length = 5, *out;

    TRY(node_int(s->tree, n, "length", 1, INT32_MAX, &length));
    node_warn_unknown(s->tree, n, known);
    out = mem_alloc(sizeof(*out));
    *out = length;
    *state = out;
    return OK;
}

static int fixed(const void *state, const struct piece *in, struct sink *out)
{
    const int64_t *most = state;
    const char *end = in->bytes + in->length;
    size_t begin = 0, at = 0, n;

    for (int64_t count = 0; at < in->length; at += n) {
        if (count == *most) {
            struct piece p = piece_slice(in, begin, at);
            TRY(out->emit(out, &p));
            begin = at;
            count = 0;
        }
        simple_class(in->bytes + at, end, &n);
        count++;
    }
    if (begin < in->length) {
        struct piece p = piece_slice(in, begin, in->length);
        return out->emit(out, &p);
    }
    return OK;
}

const struct component_type pre_tokenizer_fixed_length = {
    .name = "FixedLength",
    .parse = fixed_parse,
    .release = mem_free,
    .split = fixed,
};
