/* cli -- what commands and main.c share. A command is a row in commands.c: its options are tables, some its
 * own, some shared by several commands (below), all bound to parts of one struct of the command; main.c reads
 * the command line into it and calls `run`. Results go to stdout or the named file, everything else to
 * stderr. */
#ifndef PLAIT_CLI_CLI_H
#define PLAIT_CLI_CLI_H

#include "api/options.h"

struct command {
    const char *name;                /* "tokenizer train" */
    const char *summary;             /* for the list of commands; NULL: the command is not listed */
    const char *example;             /* command lines, for its --help and the manual; NULL: none */
    const struct option_part *parts; /* ends with options NULL */
    size_t bytes;                    /* of the command's struct, zeroed, then filled from the options */
    bool takes_words;                /* words that belong to no option: o->positional */
    int (*run)(void *values, struct options *o); /* a status; the sentence is recorded */
};

extern const struct command *const command_table[]; /* ends with NULL */

/* Prints what has failed, as the program's last words. main.c. */
void tell_error(int status);

/* ---- options of every command (main.c reads them) ---- */
struct global_options {
    int log_level;
    int64_t threads;
};
extern const struct option global_options[];
void global_look_ahead(int argc, char *const *argv);
int global_apply(const struct global_options *g);
/* What is added to every command's own parts. */
extern const struct option_part global_parts[];

/* ---- help.c, version.c, manual.c ---- */
void help_print(struct str *out);   /* plait --help */
int version_print(struct str *out); /* plait --version */
void manual_print(struct str *out); /* docs/plait.1 */
/* Binds a command's parts, and the global ones, to structs. The caller frees with mem_free. */
struct option_table *command_tables(const struct command *c, void *values, struct global_options *global);

/* ---- session_run.c: what train and eval share ---- */
struct session_options;
struct stop;
struct world;
/* Where it is computed, and on which ranks of s->world. The caller frees s->rules. */
int session_place(struct session_options *s, const struct compute_options *c, struct parallel_options *p);
/* Runs fn(values, o, ...) on the ranks there are; a signal asks `stop` to end it. */
typedef int session_fn(void *values, struct options *o, const struct world *w, struct stop *stop);
int session_run(struct parallel_options *p, session_fn *fn, void *values, struct options *o);

#endif
