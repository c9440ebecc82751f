/* Sentences of the reader. Line, column and path are worked out only here, from the place in the input and
 * from the offsets that the open levels keep, so that reading without mistakes pays nothing for them. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json_internal.h"

enum { EXCERPT = 40, KEY_EXCERPT = 80 };

static bool key_is_plain(const struct json_string *key)
{
    for (size_t i = 0; i < key->length; i++) {
        char c = key->data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return key->length > 0 && key->length <= KEY_EXCERPT;
}

static void append_path(struct str *s, const struct json_reader *r)
{
    struct json_string key;
    struct json_lex_error ignored;
    struct str scratch;
    str_init(&scratch);
    str_append_char(s, '$');
    for (int i = 0; i < r->depth; i++) {
        const struct json_level *level = &r->levels[i];
        if (level->array && level->index >= 0)
            str_appendf(s, "[%lld]", (long long)level->index);
        if (level->array || !level->key || !json_lex_string(level->key, r->end, &scratch, &key, &ignored))
            continue;
        if (key_is_plain(&key)) {
            str_append_char(s, '.');
            str_append_bytes(s, key.data, key.length);
        } else {
            str_append(s, "[\"");
            str_append_escaped(s, key.data, key.length, KEY_EXCERPT);
            str_append(s, "\"]");
        }
    }
    str_release(&scratch);
}

static void find_place(const struct json_reader *r, const char *at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (const char *p = r->begin; p < at; p++) {
        if (*p == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)*p & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

static bool text_starts_with(const struct json_reader *r, const char *prefix)
{
    size_t n = strlen(prefix);
    return (size_t)(r->end - r->begin) >= n && memcmp(r->begin, prefix, n) == 0;
}

static void add_hint(const struct json_reader *r)
{
    if (text_starts_with(r, "version https://git-lfs"))
        error_hint("%s is a Git LFS pointer, the object was not downloaded", r->name);
    else if (text_starts_with(r, "<") || text_starts_with(r, "404"))
        error_hint("%s looks like an error page of a web server saved in place of the file", r->name);
}

int json_fail_at(struct json_reader *r, int status, const char *at, const char *sentence)
{
    size_t line, column;
    struct str path;
    if (r->status != OK)
        return r->status;
    str_init(&path);
    append_path(&path, r);
    find_place(r, at, &line, &column);
    if (path.length == 1)
        r->status = fail(status, "%s:%zu:%zu: %s", r->name, line, column, sentence);
    else
        r->status = fail(status, "%s:%zu:%zu: %s: %s", r->name, line, column, path.data, sentence);
    add_hint(r);
    str_release(&path);
    return r->status;
}

void json_append_found(struct str *s, const char *at, const char *end)
{
    uint32_t codepoint;
    size_t length = json_token_length(at, end);
    bool is_number = length > 0 && ((at[0] >= '0' && at[0] <= '9') || at[0] == '-');
    if (at >= end) {
        str_append(s, "the end of the text");
        return;
    }
    if (length == 0 && at[0] == '\\')
        length = end - at < 2 ? 1 : at[1] != 'u' ? 2 : end - at < 6 ? (size_t)(end - at) : 6;
    if (length == 0)
        length = (size_t)utf8_decode(at, end, &codepoint);
    if (length == 0 || (unsigned char)at[0] < 0x20 || (unsigned char)at[0] == 0x7F) {
        str_appendf(s, "byte 0x%02x", (unsigned)(unsigned char)at[0]);
    } else if (length == 1 && !is_number) {
        str_appendf(s, "'%c'", at[0]);
    } else if (is_number) {
        str_append_escaped(s, at, length, EXCERPT);
    } else {
        str_append_char(s, '"');
        str_append_escaped(s, at, length, EXCERPT);
        str_append_char(s, '"');
    }
}

void json_syntax_fail(struct json_reader *r, const char *at, const char *what, const char *expected)
{
    struct str s;
    if (r->status != OK)
        return;
    str_init(&s);
    str_appendf(&s, "%s (found ", what);
    json_append_found(&s, at, r->end);
    if (expected)
        str_appendf(&s, ", expected %s", expected);
    str_append_char(&s, ')');
    json_fail_at(r, ERR_DATA, at, s.data);
    str_release(&s);
}
