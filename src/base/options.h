/* options -- an option table belongs to the component it configures; command line, JSON option files, --help,
 * the manual page and run.json are all read off it.
 *
 * A component owns `struct xyz_options` and a table of its members. A command puts together the tables it
 * takes. Names keep Hugging Face's spelling; '-' and '_' are the same; "--x=v" and "--x v" work; booleans
 * stand bare or take true/false (yes/no, 1/0) and, when true by default, have "--no_NAME". A word that starts
 * with '-' and a digit or '.' is a value, and so is "-"; after "--" all words are words. An option given
 * twice with different values is refused, under one name or two; a list given again under the same name goes
 * on.
 *
 *     static const struct option rows[] = {
 *         { "learning_rate", OPTION_DOUBLE, offsetof(struct train_options, learning_rate), "5e-5",
 *           "peak learning rate", .min = 0, .max = 1e9 },
 *         { "dtype", OPTION_CHOICE, offsetof(struct train_options, dtype), "float32", "computation",
 *           .choices = dtype_names, .aliases = (const char *const[]){ "bf16=bfloat16", NULL } },
 *         { 0 },
 *     }; */
#ifndef PLAIT_BASE_OPTIONS_H
#define PLAIT_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"

enum option_type {
    OPTION_BOOL,   /* bool */
    OPTION_INT,    /* int64_t; `min` and `max` hold. Choice i of `choices` is taken too and stored as
                      OPTION_WORD(i) */
    OPTION_DOUBLE, /* double, finite; `min` and `max` hold */
    OPTION_STRING, /* const char *, NULL when not given */
    OPTION_LIST,   /* struct option_list: several values, "--files a b c" or repeated */
    OPTION_CHOICE, /* int, index into `choices`; -1 when there is neither value nor preset */
    OPTION_NOTE,   /* accepted with one note (`help`) why it changes nothing here; takes a value unless `bare`
                    */
    OPTION_REFUSE, /* refused with one sentence (`help`); with `choices`, only values beyond choices[0] are
                      refused */
};

#define OPTION_WORD(i) (INT64_MIN + (i)) /* an OPTION_INT given as a word: --tensor_parallel_size auto */

struct option_list {
    const char **items;
    size_t count;
};

struct option {
    const char *name;
    enum option_type type;
    size_t offset; /* of the member in the component's struct */
    const char
        *preset; /* the default, as it would be written (a list: words between spaces); NULL: none, zero */
    const char *help;           /* one line */
    double min, max;            /* both 0: no bounds; max below min: only the lower one */
    const char *const *choices; /* NULL-terminated */
    /* Other names of the same option, NULL-terminated. "NAME=VALUE" is a switch: --NAME stands for this
     * option with VALUE, and --NAME false for nothing. */
    const char *const *aliases;
    bool bare; /* OPTION_NOTE and OPTION_REFUSE: takes no value but true/false */
    bool json; /* OPTION_STRING: of JSON, and in a file an object may stand for it */
    bool once; /* is about one start of a run: options_write_json leaves it out */
};

struct option_table {             /* a table bound to a struct */
    const char *title;            /* heading in --help */
    const struct option *options; /* ends with name == NULL */
    void *target;
};

/* What commands are put together of: tables, each of a struct within the command's, and lists of such. */
struct option_part {
    const char *title;
    const struct option *options;    /* NULL: `parts` are meant, and after the last both are */
    size_t offset;                   /* of the table's struct, or the one that `parts` lie in */
    const struct option_part *parts; /* ends as this list does */
};
/* Makes out[] the tables of all parts bound to values, unless out is NULL, and returns how many; the one
 * behind the last is the caller's to end the list. */
size_t option_parts_bind(const struct option_part *parts, void *values, struct option_table *out);

/* Whether and how an option was given. */
struct option_seen {
    int source;       /* 0 no, 1 from a file, 2 from the command line */
    const char *name; /* the name used */
};

struct options {
    const struct option_table *tables; /* ends with options == NULL; borrowed */
    struct option_seen **seen;         /* [table][option] */
    struct option_list positional;     /* words that are no options, when the command takes any */
    struct arena memory;               /* strings and lists lie here until options_release */
    const char *command;               /* for messages; borrowed */
    bool takes_words; /* set after init; else the only such word may be FILE.json with options */
    bool help;        /* --help or -h was met: nothing else has been read */
};

/* Sets every default. Tables that contradict themselves (one name twice, an impossible preset) are a BUG. */
void options_init(struct options *o, const char *command, const struct option_table *tables);
void options_release(struct options *o);
/* Reads argv[0..argc-1] (after the command's name). A single argument ending in ".json", or "--args_file
 * FILE", reads options from a file; the command line wins. ERR_USAGE names the nearest known option or value.
 */
int options_parse(struct options *o, int argc, char *const *argv);
/* One object {"name": value, ...}, "//" comments allowed; null is as good as not given. When it has a member
 * "options" that is an object, as run.json does, the options are in there, the other members are ignored, and
 * a value equal to the default does not count as given. Text that is no JSON: ERR_DATA; anything else:
 * ERR_USAGE. */
int options_parse_json(struct options *o, const char *name, const char *bytes, size_t length);
/* As if given on the command line; value NULL: it stands bare. */
int options_set(struct options *o, const char *name, const char *value);
bool options_given(const struct options *o, const char *name); /* false for a name that no table has */
void options_print_help(const struct options *o, struct str *out);
/* Writes "name": value, ... of all resolved options (not OPTION_NOTE, OPTION_REFUSE and `once`) into an open
 * object. options_parse_json takes them back. What has no value is written as null. */
void options_write_json(const struct options *o, struct json_writer *w);

#endif
