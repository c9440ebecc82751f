/* functions -- finds function definitions in blanked code and measures them. */
#include "checker.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *statement(const char *p, int depth, int *deepest);

static const char *block(const char *p, int depth, int *deepest)
{
    p = skip_space(p + 1);
    while (*p && *p != '}')
        p = skip_space(statement(p, depth, deepest));
    return *p ? p + 1 : p;
}

static const char *expression(const char *p)
{
    while (*p && *p != ';' && *p != '}')
        p = strchr("({[", *p) ? skip_group(p) : p + 1;
    return *p == ';' ? p + 1 : p;
}

/* `if (a) x; else if (b) y; else z;` is one level, however long the chain. */
static const char *alternatives(const char *p, int depth, int *deepest)
{
    char word[64];
    for (;;) {
        p = statement(skip_group(skip_space(p)), depth + 1, deepest);
        const char *after = take_word(skip_space(p), word);
        if (strcmp(word, "else") != 0)
            return p;
        p = after;
        after = take_word(skip_space(p), word);
        if (strcmp(word, "if") != 0)
            return statement(p, depth + 1, deepest);
        p = after;
    }
}

/* Passes one statement; *deepest becomes the largest number of control statements around any one. */
static const char *statement(const char *p, int depth, int *deepest)
{
    static const char *const loops[] = { "for", "while", "switch", NULL };
    static const char *const plain[] = { "return", "goto", "break", "continue", "sizeof", NULL };
    char word[64];

    p = skip_space(p);
    if (depth > *deepest)
        *deepest = depth;
    if (*p == '{')
        return block(p, depth, deepest);
    const char *after = skip_space(take_word(p, word));
    if (strcmp(word, "if") == 0)
        return alternatives(after, depth, deepest);
    if (one_of(word, loops))
        return statement(skip_group(after), depth + 1, deepest);
    if (strcmp(word, "do") == 0)
        return expression(statement(after, depth + 1, deepest));
    if (strcmp(word, "case") == 0 || strcmp(word, "default") == 0) {
        while (*after && *after != ':')
            after++;
        return *after ? after + 1 : after;
    }
    if (*word && *after == ':')
        return after + 1;
    /* a macro that loops: NAME(...) { ... } */
    if (*word && !one_of(word, plain) && *after == '(') {
        const char *end = skip_space(skip_group(after));
        if (*end == '{')
            return statement(end, depth + 1, deepest);
    }
    return expression(p);
}

/* Within a file-scope statement [p, end) that ends at a brace: the parameter list and name, if it defines a
 * function. */
static const char *find_params(const char *p, const char *end, char name[64])
{
    static const char *const attributes[] = { "__attribute__", "_Alignas", "alignas", "__asm__", NULL };
    const char *params = NULL;
    char word[64] = "";
    while (p < end) {
        if (*p == '=')
            return NULL;
        if (*p == '(') {
            if (*word && !one_of(word, attributes)) {
                params = p;
                strncpy(name, word, 64);
            }
            p = skip_group(p);
            word[0] = '\0';
        } else if (is_word(*p)) {
            p = take_word(p, word);
        } else {
            if (!isspace((unsigned char)*p))
                word[0] = '\0';
            p++;
        }
    }
    return params;
}

static int count_params(const char *p)
{
    const char *end = skip_group(p) - 1;
    char word[64];
    const char *first = skip_space(p + 1);
    if (first == end || (skip_space(take_word(first, word)) == end && strcmp(word, "void") == 0))
        return 0;
    int count = 1;
    for (p++; p < end; p = strchr("({[", *p) ? skip_group(p) : p + 1)
        count += *p == ',';
    return count;
}

static void add_length(struct lengths *all, int lines)
{
    if (all->count == all->room) {
        all->room = all->room ? all->room * 2 : 1024;
        all->lines = must(realloc(all->lines, all->room * sizeof *all->lines));
    }
    all->lines[all->count++] = lines;
}

/* One function: its statement starts at p, its body at brace. Returns what follows it. */
static const char *check_function(const struct source *s, const char *p, const char *brace,
                                  struct lengths *all)
{
    char name[64] = "";
    const char *params = find_params(p, brace, name);
    const char *end = skip_group(brace);
    if (!params)
        return end;
    int first = line_of(s->code, skip_space(p)), lines = line_of(s->code, end) - first + 1, deepest = 0;
    block(brace, 0, &deepest);
    if (end[-1] != '}')
        report(s, first, "braces do not balance (is half of a block inside #if?)", name);
    if (lines > MAX_FUNCTION_LINES)
        report_limit(s, first, "lines in function", name, lines, MAX_FUNCTION_LINES);
    if (count_params(params) > MAX_PARAMS)
        report_limit(s, first, "parameters", name, count_params(params), MAX_PARAMS);
    if (deepest > MAX_NESTING)
        report_limit(s, first, "nested control statements", name, deepest, MAX_NESTING);
    if (starts(s->path, "src/"))
        add_length(all, lines);
    return end;
}

void check_functions(const struct source *s, struct lengths *all)
{
    const char *start = s->code;
    for (const char *p = s->code; *p;) {
        char word[64];
        if (*p == '{') {
            const char *after = skip_space(take_word(skip_space(start), word));
            bool linkage = strcmp(word, "extern") == 0 && after == p; /* extern "C" { */
            bool function = find_params(start, p, word) != NULL;
            p = linkage ? p + 1 : check_function(s, start, p, all);
            if (function || linkage)
                start = p;
        } else if (*p == '(' || *p == '[') {
            p = skip_group(p);
        } else {
            p++;
            if (p[-1] == ';' || p[-1] == '}')
                start = p;
        }
    }
}
