/* checker FILE ...: exit status 0: nothing found, 1: something found, 2: a file could not be read. */
#include "checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static bool check_file(const char *path, const char *roadmap, struct lengths *all)
{
    struct source s = { .path = path, .text = read_file(path) };
    if (!s.text) {
        fprintf(stderr, "checker: cannot read %s\n", path);
        return false;
    }
    s.code = must(strdup(s.text));
    blank(s.code, true);
    check_lines(&s);
    check_directives(&s);
    check_calls(&s);
    check_functions(&s, all);
    if (!starts(path, "script/"))
        check_open_work(&s, roadmap);
    free(s.code);
    free(s.text);
    return true;
}

int main(int argc, char **argv)
{
    struct lengths all = { 0 };
    bool readable = true;
    char *roadmap = read_file("docs/ROADMAP.md");
    for (int i = 1; i < argc; i++)
        readable &= check_file(argv[i], roadmap, &all);
    if (all.count) {
        qsort(all.lines, all.count, sizeof *all.lines, by_value);
        fprintf(stderr, "%zu functions in src, median length %d lines, longest %d\n", all.count,
                all.lines[all.count / 2], all.lines[all.count - 1]);
    }
    free(all.lines);
    free(roadmap);
    return !readable ? 2 : findings ? 1 : 0;
}
