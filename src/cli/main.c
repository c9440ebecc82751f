/* plait -- the program. Finds the command, reads its options, runs it, and says in one line what went wrong.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/parallel.h"
#include "cli/cli.h"
#include "comm/world.h"

/* Pieces of a checkpoint, shards of data: as many files at once as the system lets us have. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A descriptor that the caller closed would be given to the next file that is opened, and what is meant for
 * stdout would end up in there. In its place: something that takes no bytes. */
static void guard_standard_files(void)
{
    static const int modes[] = { O_WRONLY, O_RDONLY, O_WRONLY };

    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 2 ? O_WRONLY : modes[fd]) != fd)
            _exit(error_exit_code(ERR_SYSTEM));
}

void tell_error(int status)
{
    (void)status;
    fprintf(stderr, "plait: error: %s\n", error_message());
    if (*error_hint_text())
        fprintf(stderr, "hint: %s\n", error_hint_text());
}

/* A rank that only follows another one's failure has nothing to tell. */
static int die(int status)
{
    if (*error_message() && world_may_tell())
        tell_error(status);
    return error_exit_code(status);
}

/* ---- the command ---- */

/* How many words of argv the name takes; 0: it is another command. */
static int match(const struct command *c, int argc, char *const *argv)
{
    const char *p = c->name;

    for (int i = 0; i < argc; i++) {
        size_t length = strcspn(p, " ");
        if (strlen(argv[i]) != length || strncmp(argv[i], p, length) != 0)
            return 0;
        p += length;
        if (!*p++)
            return i + 1;
    }
    return 0;
}

/* "tokenizer" alone, or with a second word that is none of its commands. */
static bool is_family(const char *word)
{
    size_t length = strlen(word);

    for (int i = 0; command_table[i]; i++)
        if (strncmp(command_table[i]->name, word, length) == 0 && command_table[i]->name[length] == ' ')
            return true;
    return false;
}

static void append_family(const char *word, struct str *out)
{
    size_t length = strlen(word);

    for (int i = 0; command_table[i]; i++)
        if (strncmp(command_table[i]->name, word, length) == 0 && command_table[i]->name[length] == ' ')
            str_appendf(out, "%s%s", out->length ? ", " : "", command_table[i]->name);
}

static int fail_family(int argc, char *const *argv)
{
    struct str known;
    int status;

    str_init(&known);
    append_family(argv[0], &known);
    if (argc > 1)
        status = fail(ERR_USAGE, "%s: no such command (found \"%s %.40s\", expected %s)", argv[0], argv[0],
                      argv[1], known.data);
    else
        status = fail(ERR_USAGE, "%s: one word is missing (expected %s)", argv[0], known.data);
    str_release(&known);
    return status;
}

static int fail_unknown(const char *word)
{
    const char *names[64], *nearest;
    size_t count = 0;
    int status;

    for (int i = 0; command_table[i] && count < 64; i++)
        if (command_table[i]->summary)
            names[count++] = command_table[i]->name;
    nearest = str_nearest(word, names, count);
    status = fail(ERR_USAGE, "%.60s: no such command%s%s%s", word, nearest ? " (did you mean " : "",
                  nearest ? nearest : "", nearest ? "?)" : "");
    error_hint("plait --help lists the commands");
    return status;
}

static int find_command(int argc, char *const *argv, const struct command **command, int *words)
{
    for (int i = 0; command_table[i]; i++) {
        *words = match(command_table[i], argc, argv);
        *command = command_table[i];
        if (*words > 0)
            return OK;
    }
    return is_family(argv[0]) ? fail_family(argc, argv) : fail_unknown(argv[0]);
}

/* ---- running ---- */

/* By the first of several processes. */
static int print_once(const struct str *text)
{
    return world_may_tell() ? write_text(NULL, text) : OK;
}

static int print_command_help(const struct command *c, const struct options *o)
{
    struct str text;
    int status;

    str_init(&text);
    str_appendf(&text, "plait %s: %s\n\n", c->name, c->summary ? c->summary : "");
    for (const char *p = c->example; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
        str_appendf(&text, "    %.*s\n", (int)strcspn(p, "\n"), p);
    str_append(&text, c->example ? "\n" : "");
    options_print_help(o, &text);
    status = print_once(&text);
    str_release(&text);
    return status;
}

/* Whether it computes on ranks, which find each other: it takes the options of a layout. */
static bool has_ranks(const struct option_table *tables)
{
    for (const struct option_table *t = tables; t->options; t++)
        if (t->options == parallel_options)
            return true;
    return false;
}

/* Of what has no ranks, each of a launcher's processes would do all, into the same files: the first does it.
 * The others do not wait for that: they would need MPI to, and no second program could use MPI after this. */
static bool is_done_elsewhere(const struct command *c, const struct option_table *tables)
{
    int ranks;
    const char *launcher = world_launcher(&ranks);

    if (!launcher || has_ranks(tables))
        return false;
    note("%s does not compute on ranks: the first of the %d processes that %s has started does it alone",
         c->name, ranks, launcher);
    return !world_may_tell();
}

/* What this process alone may not be able to read, say a file of options that its host has not got, all shall
 * know: the others would wait for it. */
static int fail_together(int status)
{
    struct world w;
    int ranks;

    if (!world_launcher(&ranks))
        return status;
    TRY(world_open(&w, &(struct world_options){ .tell = tell_error }));
    return world_close(&w, status);
}

static int run_command(const struct command *c, int argc, char *const *argv)
{
    struct global_options global;
    void *values = mem_alloc(c->bytes + 1);
    struct option_table *tables = command_tables(c, values, &global);
    struct options options;
    int status;

    global_look_ahead(argc, argv);
    options_init(&options, c->name, tables);
    options.takes_words = c->takes_words;
    status = options_parse(&options, argc, argv);
    if (status != OK && has_ranks(tables))
        status = fail_together(status);
    else if (status == OK && options.help)
        status = print_command_help(c, &options);
    else if (status == OK) {
        status = global_apply(&global);
        if (status == OK && !is_done_elsewhere(c, tables))
            status = c->run(values, &options);
    }
    options_release(&options);
    mem_free(tables);
    mem_free(values);
    return status;
}

static bool is(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int print_text(const char *first, int argc, char *const *argv)
{
    struct str text;
    int status = OK;

    str_init(&text);
    if (is(first, "--version", "-V"))
        status = version_print(&text);
    else if (argc > 2 && is_family(argv[1]))
        append_family(argv[1], &text), str_append_char(&text, '\n');
    else
        help_print(&text);
    if (status == OK)
        status = print_once(&text);
    str_release(&text);
    return status;
}

static int run(int argc, char *const *argv)
{
    const struct command *command = NULL;
    int words = 0;

    if (argc < 2) {
        fail(ERR_USAGE, "no command (expected plait COMMAND [--NAME VALUE ...])");
        error_hint("plait --help lists the commands");
        return ERR_USAGE;
    }
    if (is(argv[1], "--help", "-h") || is(argv[1], "--version", "-V"))
        return print_text(argv[1], argc, argv);
    if (argc == 3 && is_family(argv[1]) && is(argv[2], "--help", "-h"))
        return print_text("--help", argc, argv);
    TRY(find_command(argc - 1, argv + 1, &command, &words));
    return run_command(command, argc - 1 - words, argv + 1 + words);
}

int main(int argc, char **argv)
{
    int status;

    parallel_settle(argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a write that fails */
    guard_standard_files();
    raise_file_limit();
    status = run(argc, argv);
    return status == OK ? 0 : die(status);
}
