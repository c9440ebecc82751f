/* rules -- what is found without knowing functions: lines, comments, preprocessor lines, calls. */
#include "checker.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A folder may include itself and the folders before it. */
static const char *const layers[] = { "base", "core",  "ops",  "models", "tok",  "data",
                                      "cpu",  "cuda",  "comm", "pipe",   "plan", "exec",
                                      "ckpt", "train", "gen",  "api",    "cli",  NULL };

/* Calls that nobody makes; those that only one file or folder under src/ makes, where tests are free. */
static const char *const banned[] = { "strcpy", "strcat", "sprintf", "vsprintf", "gets",    "strtok",
                                      "atoi",   "atol",   "atoll",   "atof",     "system",  "popen",
                                      "alloca", "rand",   "srand",   "random",   "drand48", NULL };
static const char *const memory_calls[] = {
    "malloc",         "calloc", "realloc", "reallocarray", "aligned_alloc",
    "posix_memalign", "strdup", "strndup", "free",         NULL
};
static const char *const ending_calls[] = { "abort", "exit", "_exit", "quick_exit", NULL };

void check_lines(const struct source *s)
{
    int line = 1, columns = 0;
    for (const char *p = s->text; *p; p++) {
        if (*p == '\t')
            report(s, line, "tab", NULL);
        if (*p != '\n') {
            columns += ((unsigned char)*p & 0xC0) != 0x80; /* UTF-8: continuation bytes take no column */
            continue;
        }
        if (columns > MAX_COLUMNS)
            report_limit(s, line, "columns", NULL, columns, MAX_COLUMNS);
        columns = 0;
        line++;
    }
    if (line - 1 > MAX_FILE_LINES)
        report_limit(s, line - 1, "lines in file", NULL, line - 1, MAX_FILE_LINES);
}

/* Work left open is written `TODO(key): ...`, where docs/ROADMAP.md says more under that key. */
void check_open_work(const struct source *s, const char *roadmap)
{
    static const char *const marks[] = { "TODO", "FIXME", "XXX" };
    for (size_t m = 0; m < sizeof marks / sizeof *marks; m++) {
        size_t n = strlen(marks[m]);
        for (const char *p = s->text; (p = strstr(p, marks[m])); p += n) {
            char key[64] = "";
            if ((p > s->text && is_word(p[-1])) || is_word(p[n]))
                continue;
            if (m == 0 && p[n] == '(')
                take_word(p + n + 1, key);
            if (!*key || !roadmap || !strstr(roadmap, key))
                report(s, line_of(s->text, p), "needs the form TODO(key) and the key in docs/ROADMAP.md",
                       marks[m]);
        }
    }
}

static int layer_of(const char *path, char name[64])
{
    const char *end = take_word(path, name);
    if (*end != '/')
        return -1;
    for (int i = 0; layers[i]; i++)
        if (strcmp(layers[i], name) == 0)
            return i;
    return -1;
}

static void check_include(const struct source *s, int line, const char *what)
{
    char mine[64], theirs[64], message[200];
    if (starts(what, "<omp.h>") && strcmp(s->path, "src/base/parallel.c") != 0)
        report(s, line, "OpenMP is named in src/base/parallel.c only", "omp.h");
    if (*what != '"')
        return;
    bool from_src = starts(s->path, "src/");
    int to = layer_of(what + 1, theirs);
    if (!from_src) {
        bool outsider =
            starts(s->path, "examples/") || starts(s->path, "tests/api/") || starts(s->path, "include/");
        if (outsider && to >= 0)
            report(s, line, "includes an internal header; only plait.h is public", theirs);
        return;
    }
    int from = layer_of(s->path + 4, mine);
    if (from < 0) {
        report(s, line, "is no folder of the list in docs/STYLE.md", mine);
    } else if (starts(what, "\"plait.h\"") && strcmp(mine, "api") != 0 && strcmp(mine, "cli") != 0) {
        report(s, line, "plait.h is for src/api and src/cli", NULL);
    } else if (to > from) {
        snprintf(message, sizeof message, "src/%s includes src/%s, which stands below it", mine, theirs);
        report(s, line, message, NULL);
    }
}

/* A function in a macro: a name, a parameter list, a brace. Control statements look
 * the same and are let through. */
static void check_define(const struct source *s, int line, const char *text)
{
    static const char *const control[] = { "if", "for", "while", "switch", "return", "sizeof", NULL };
    char name[64], before[64];
    char *body = must(strdup(text));
    blank(body, false);
    const char *p = skip_space(body);
    p = take_word(p, name);
    if (*p == '(')
        p = skip_group(p);
    before[0] = '\0';
    while (*p) {
        if (is_word(*p)) {
            p = take_word(p, before);
        } else if (*p == '(' && *before) {
            const char *inside = p + 1;
            const char *after = skip_group(p);
            while (isspace((unsigned char)*after) || *after == '\\')
                after++;
            if (*after == '{' && !one_of(before, control))
                report(s, line, "macro defines a function body", name);
            before[0] = '\0';
            p = inside;
        } else {
            if (!isspace((unsigned char)*p))
                before[0] = '\0';
            p++;
        }
    }
    free(body);
}

static void check_directive(const struct source *s, int line, const char *text, size_t length)
{
    char *copy = must(strndup(text, length)), word[64];
    const char *p = skip_space(skip_space(copy) + 1);
    p = skip_space(take_word(p, word));
    if (strcmp(word, "include") == 0)
        check_include(s, line, p);
    else if (strcmp(word, "define") == 0)
        check_define(s, line, p);
    else if (strcmp(word, "pragma") == 0 && starts(p, "omp") && strcmp(s->path, "src/base/parallel.c") != 0)
        report(s, line, "OpenMP is named in src/base/parallel.c only", "#pragma omp");
    free(copy);
}

void check_directives(const struct source *s)
{
    bool line_start = true;
    for (size_t i = 0; s->text[i];) {
        size_t end = i + 1;
        if (line_start && s->text[i] == '#') {
            end = directive_end(s->text, i);
            check_directive(s, line_of(s->text, s->text + i), s->text + i, end - i);
        } else if (opens_comment_or_literal(s->text, i)) {
            end = comment_or_literal_end(s->text, i);
        }
        line_start = s->text[i] == '\n' || (line_start && isspace((unsigned char)s->text[i]));
        i = end;
    }
}

/* ---- calls ---- */

static bool may_call(const char *path, const char *name)
{
    if (one_of(name, banned))
        return false;
    if (one_of(name, memory_calls))
        return !starts(path, "src/") || strcmp(path, "src/base/mem.c") == 0;
    if (one_of(name, ending_calls))
        return !starts(path, "src/") || starts(path, "src/cli/") || strcmp(path, "src/base/err.c") == 0;
    if (starts(name, "omp_"))
        return strcmp(path, "src/base/parallel.c") == 0;
    return true;
}

void check_calls(const struct source *s)
{
    char word[64];
    for (const char *p = s->code; *p;) {
        if (!is_word(*p)) {
            p++;
            continue;
        }
        bool member = p > s->code && (p[-1] == '.' || (p[-1] == '>' && p - 1 > s->code && p[-2] == '-'));
        const char *at = p;
        p = take_word(p, word);
        if (member || *skip_space(p) != '(')
            continue;
        if (!may_call(s->path, word))
            report(s, line_of(s->code, at), "banned call (docs/STYLE.md says what to use)", word);
    }
}
