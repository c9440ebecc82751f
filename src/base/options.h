/* options -- an option table belongs to the component it configures; command line, JSON option files, --help, the
 * manual page and run.json are all read off it.
 *
 * A component owns `struct xyz_options` and a table of its members. A command puts together the tables it takes. Names
 * keep Hugging Face's spelling; '-' and '_' are the same; "--x=v" and "--x v" work; booleans stand bare or take
 * true/false and, when true by default, have "--no_NAME". */
#ifndef PLAIT_BASE_OPTIONS_H
#define PLAIT_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

enum option_type {
    OPTION_BOOL,   /* bool */
    OPTION_INT,    /* int64_t; `min` and `max` hold */
    OPTION_DOUBLE, /* double; `min` and `max` hold */
    OPTION_STRING, /* const char *, NULL when not given */
    OPTION_LIST,   /* struct option_list: several values, "--files a b c" or repeated */
    OPTION_CHOICE, /* int, index into `choices` */
    OPTION_NOTE,   /* accepted with one note (`help`) why it changes nothing here; takes a value unless `bare` */
    OPTION_REFUSE, /* refused with one sentence (`help`); with `choices`, only values beyond choices[0] are refused */
};

struct option_list {
    const char **items;
    size_t count;
};

struct option {
    const char *name;
    enum option_type type;
    size_t offset;              /* of the member in the component's struct */
    const char *preset;         /* the default, as it would be written; NULL: none */
    const char *help;           /* one line */
    double min, max;            /* both 0: no bounds */
    const char *const *choices; /* NULL-terminated */
    const char *const *aliases; /* NULL-terminated: other names of the same option */
    bool bare;                  /* OPTION_NOTE: takes no value */
};

struct option_table {           /* a table bound to a struct */
    const char *title;          /* heading in --help */
    const struct option *options; /* ends with name == NULL */
    void *target;
};

/* Which options were given, for "given twice" and for run.json. */
struct options {
    const struct option_table *tables; /* ends with options == NULL; borrowed */
    unsigned char **given;             /* [table][option]: 0 no, 1 from a file, 2 from the command line */
    struct option_list positional;     /* words that are no options */
    struct arena_block *memory;
    const char *command;               /* for messages */
};

/* Sets every default. */
void options_init(struct options *o, const char *command, const struct option_table *tables);
void options_release(struct options *o);
/* Reads argv[0..argc-1] (after the command's name). A single argument ending in ".json", or "--args_file FILE", reads
 * options from a file; the command line wins. ERR_USAGE names the nearest known option or value. */
int options_parse(struct options *o, int argc, char *const *argv);
int options_parse_json(struct options *o, const char *name, const char *bytes, size_t length);
int options_set(struct options *o, const char *name, const char *value); /* as if given on the command line */
bool options_given(const struct options *o, const char *name);
void options_print_help(const struct options *o, struct str *out);
/* Writes {"name": value, ...} of all resolved options (not OPTION_NOTE and OPTION_REFUSE) into an open object. */
void options_write_json(const struct options *o, struct json_writer *w);

#endif
