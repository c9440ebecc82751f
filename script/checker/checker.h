/* checker -- reads C sources as text and reports what docs/STYLE.md forbids, one line per finding:
 *     file:line: what (found X, limit Y)
 *
 *     text.c       reading, blanking, small helpers
 *     rules.c      columns, lines per file, open work, includes, macros, OpenMP, banned calls
 *     functions.c  lines, parameters and nesting of functions
 *     main.c       goes through the files
 *
 * It is no C parser. A file is blanked first: comments, literals and preprocessor lines become spaces, so
 * that what remains is code in which every brace counts. script/check compiles and runs it from the project's
 * root. There is no list of exceptions. */
#ifndef CHECKER_H
#define CHECKER_H

#include <stdbool.h>
#include <stddef.h>

enum { MAX_COLUMNS = 110, MAX_FILE_LINES = 500, MAX_FUNCTION_LINES = 60, MAX_PARAMS = 6, MAX_NESTING = 4 };

struct source {
    const char *path;
    char *text; /* as read */
    char *code; /* the same length; comments, literals and preprocessor lines blanked */
};

struct lengths {
    int *lines;
    size_t count, room;
};

/* text.c */
extern int findings; /* reported so far */

void *must(void *memory); /* ends the program when memory is NULL */

/* Reads a whole file, NUL-terminated; NULL where there is none. The caller frees it. */
char *read_file(const char *path);

int line_of(const char *text, const char *at);

/* Prints one finding; name may be NULL. */
void report(const struct source *s, int line, const char *what, const char *name);
void report_limit(const struct source *s, int line, const char *what, const char *name, int found, int limit);

bool starts(const char *text, const char *prefix);
bool is_word(char c);
bool one_of(const char *word, const char *const list[]); /* list ends with NULL */
const char *skip_space(const char *p);

/* Copies the word at p, which may be empty and is cut at 63, and returns its end. */
const char *take_word(const char *p, char word[64]);

/* The character after the group that opens at p, or the end of the text where it never closes. */
const char *skip_group(const char *p);

/* t[i] opens a comment, string or character; the position after it; that after a preprocessor line. */
bool opens_comment_or_literal(const char *t, size_t i);
size_t comment_or_literal_end(const char *t, size_t i);
size_t directive_end(const char *t, size_t i);

/* Turns comments and literals, and preprocessor lines if asked, into spaces. */
void blank(char *code, bool directives);

/* rules.c; roadmap is the text of docs/ROADMAP.md or NULL */
void check_lines(const struct source *s);
void check_open_work(const struct source *s, const char *roadmap);
void check_directives(const struct source *s);
void check_calls(const struct source *s);

/* functions.c; the lengths of functions under src/ are added to all */
void check_functions(const struct source *s, struct lengths *all);

#endif
