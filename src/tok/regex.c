/* Compiling a pattern, and searching a text for it. */
#include "tok/regex.h"

#include <string.h>

#include "base/err.h"
#include "tok/regex_program.h"
#include "tok/split.h"

enum { PATTERN_MOST = 1 << 16 };

/* ---- compiling ---- */

void regex_free(struct regex *re)
{
    if (!re)
        return;
    for (size_t i = 0; i < re->class_count; i++)
        ranges_release(&re->classes[i].ranges);
    mem_free(re->code);
    mem_free(re->classes);
    mem_free(re->firsts);
    mem_free(re->lengths);
    mem_free(re->literal);
    mem_free(re);
}

struct regex *regex_literal(const char *text, size_t length)
{
    struct regex *re = mem_alloc(sizeof(*re));

    re->literal = mem_strndup(text, length);
    re->literal_length = length;
    re->may_be_empty = length == 0;
    return re;
}

static bool is_text(const char *pattern, size_t length, const char *text)
{
    return length == strlen(text) && memcmp(pattern, text, length) == 0;
}

static bool is_gpt2(const char *pattern, size_t length)
{
    return is_text(pattern, length,
                   "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+") ||
           is_text(pattern, length,
                   "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");
}

bool regex_compile(const char *pattern, size_t length, struct regex **out, struct regex_error *error)
{
    struct regex *re = mem_alloc(sizeof(*re));
    struct re_node *root;
    struct arena arena;
    bool fine = false;

    *error = (struct regex_error){ 0 };
    arena_init(&arena);
    if (length > PATTERN_MOST)
        error->what = "a pattern of more than 65536 bytes";
    else
        fine = regex_parse(re, &arena, pattern, length, &root, error) && regex_emit(re, root, error);
    arena_release(&arena);
    if (!fine) {
        regex_free(re);
        return false;
    }
    if (is_gpt2(pattern, length))
        re->hand = split_gpt2;
    *out = re;
    return true;
}

/* ---- searching ---- */

void regex_begin(struct regex_scan *s, const struct regex *re, const char *text, size_t length)
{
    s->re = re;
    s->text = text;
    s->length = length;
    s->from = s->last_end = 0;
    s->matched = false;
    s->steps = 0;
    s->failed = NULL;
    s->frames = s->first_frames;
    s->frame_count = 0;
    s->frame_capacity = REGEX_FRAMES;
    s->registers = s->first_registers;
    if (re->register_count > 4)
        s->registers = mem_alloc_array(re->register_count, sizeof(*s->registers));
    else
        memset(s->first_registers, 0, sizeof(s->first_registers));
}

void regex_end(struct regex_scan *s)
{
    mem_free(s->failed);
    if (s->frames != s->first_frames)
        mem_free(s->frames);
    if (s->registers != s->first_registers)
        mem_free(s->registers);
}

static int find_literal(const struct regex_scan *s, size_t at, size_t *begin, size_t *end)
{
    const struct regex *re = s->re;
    const char *p = s->text + at;

    if (re->literal_length == 1)
        p = memchr(p, re->literal[0], s->length - at);
    else
        p = memmem(p, s->length - at, re->literal, re->literal_length);
    if (!p)
        return 0;
    *begin = (size_t)(p - s->text);
    *end = *begin + re->literal_length;
    return 1;
}

static int find(struct regex_scan *s, size_t at, size_t *begin, size_t *end)
{
    const struct regex *re = s->re;
    int status;
    size_t n;

    if (re->literal)
        return find_literal(s, at, begin, end);
    if (re->hand) {
        *begin = at;
        *end = at == s->length ? at : (size_t)(re->hand(s->text + at, s->text + s->length) - s->text);
        return at < s->length ? 1 : 0;
    }
    for (;; at += n) {
        while (!re->may_be_empty && at < s->length && !re->first.bytes[(uint8_t)s->text[at]])
            at++;
        if (at == s->length && !re->may_be_empty)
            return 0;
        *begin = at;
        status = regex_match(s, at, end);
        if (status != 0 || at == s->length)
            return status;
        regex_code_at(s->text + at, s->text + s->length, &n);
    }
}

int regex_next(struct regex_scan *s, bool *found, size_t *begin, size_t *end)
{
    size_t n = 1;

    *found = false;
    while (s->from <= s->length) {
        int status = find(s, s->from, begin, end);
        if (status == 0)
            return OK;
        if (status != 1)
            return status;
        s->from = *end;
        if (*begin < *end || !s->matched || s->last_end != *end) {
            s->matched = *found = true;
            s->last_end = *end;
            return OK;
        }
        if (s->from < s->length)
            regex_code_at(s->text + s->from, s->text + s->length, &n);
        s->from += n;
    }
    return OK;
}
