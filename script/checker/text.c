/* text -- reading and blanking of sources, and the helpers the rules share. */
#include "checker.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int findings;

void *must(void *memory)
{
    if (!memory) {
        fputs("checker: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    size_t room = 1 << 16, length = 0, got;
    char *text = must(malloc(room + 1));
    while ((got = fread(text + length, 1, room - length, f)) > 0) {
        length += got;
        if (length == room)
            text = must(realloc(text, (room *= 2) + 1));
    }
    fclose(f);
    text[length] = '\0';
    return text;
}

int line_of(const char *text, const char *at)
{
    int line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

void report(const struct source *s, int line, const char *what, const char *name)
{
    printf("%s:%d: %s%s%s\n", s->path, line, name ? name : "", name ? ": " : "", what);
    findings++;
}

void report_limit(const struct source *s, int line, const char *what, const char *name, int found, int limit)
{
    char message[200];
    snprintf(message, sizeof message, "%s (found %d, limit %d)", what, found, limit);
    report(s, line, message, name);
}

bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

const char *skip_space(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

const char *take_word(const char *p, char word[64])
{
    size_t n = 0;
    while (is_word(*p)) {
        if (n < 63)
            word[n++] = *p;
        p++;
    }
    word[n] = '\0';
    return p;
}

bool one_of(const char *word, const char *const list[])
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

const char *skip_group(const char *p)
{
    int depth = 0;
    for (; *p; p++) {
        if (strchr("({[", *p))
            depth++;
        else if (strchr(")}]", *p) && --depth == 0)
            return p + 1;
    }
    return p;
}

size_t comment_or_literal_end(const char *t, size_t i)
{
    if (t[i] == '/' && t[i + 1] == '/') {
        while (t[i] && t[i] != '\n')
            i++;
        return i;
    }
    if (t[i] == '/') {
        const char *end = strstr(t + i + 2, "*/");
        return end ? (size_t)(end - t) + 2 : strlen(t);
    }
    char quote = t[i++];
    while (t[i] && t[i] != quote && t[i] != '\n')
        i += t[i] == '\\' && t[i + 1] ? 2 : 1;
    return t[i] == quote ? i + 1 : i;
}

bool opens_comment_or_literal(const char *t, size_t i)
{
    if (t[i] == '/')
        return t[i + 1] == '/' || t[i + 1] == '*';
    return t[i] == '"' || t[i] == '\'';
}

size_t directive_end(const char *t, size_t i)
{
    while (t[i] && t[i] != '\n') {
        if (t[i] == '\\' && t[i + 1] == '\n')
            i += 2;
        else if (opens_comment_or_literal(t, i))
            i = comment_or_literal_end(t, i);
        else
            i++;
    }
    return i;
}

static void blank_range(char *code, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (code[i] != '\n')
            code[i] = ' ';
}

/* Literals keep their quotes' place empty too; what is left of `f("x")` is `f(   )`. */
void blank(char *code, bool directives)
{
    bool line_start = true;
    for (size_t i = 0; code[i];) {
        size_t end = i + 1;
        if (directives && line_start && code[i] == '#')
            end = directive_end(code, i);
        else if (opens_comment_or_literal(code, i))
            end = comment_or_literal_end(code, i);
        if (end > i + 1 || code[i] == '#')
            blank_range(code, i, end);
        line_start = code[i] == '\n' || (line_start && isspace((unsigned char)code[i]));
        i = end;
    }
}
