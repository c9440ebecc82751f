/* --help, read off the tables. */
#include <string.h>

#include "base/options_internal.h"

enum { WIDTH = 100, TEXT_COLUMN = 36, MAX_CHOICES = 24 };

/* Text from the current column on, broken at spaces before WIDTH, later lines indented to `indent`. */
static void append_wrapped(struct str *out, const char *text, size_t column, size_t indent)
{
    const char *p = text;
    bool first = true;
    while (*p) {
        size_t n = strcspn(p, " ");
        if (!first && column + 1 + n > WIDTH) {
            str_appendf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            str_append_char(out, ' ');
            column++;
        }
        str_append_bytes(out, p, n);
        column += n;
        first = false;
        p += n;
        p += strspn(p, " ");
    }
    str_append_char(out, '\n');
}

static bool choices_are_short(const struct option *option)
{
    size_t n = 0;
    for (size_t i = 0; option->choices[i]; i++)
        n += strlen(option->choices[i]) + 1;
    return n <= MAX_CHOICES;
}

static void append_choices(const struct option *option, const char *between, struct str *s)
{
    for (size_t i = 0; option->choices[i]; i++)
        str_appendf(s, "%s%s", i ? between : "", option->choices[i]);
}

/* "--name VALUE" */
static void append_head(const struct option *option, struct str *s)
{
    str_appendf(s, "  --%s", option->name);
    if (option->type == OPTION_INT)
        str_append(s, " N");
    else if (option->type == OPTION_DOUBLE)
        str_append(s, " X");
    else if (option->type == OPTION_STRING)
        str_append(s, " TEXT");
    else if (option->type == OPTION_LIST)
        str_append(s, " TEXT ...");
    else if (option->type == OPTION_CHOICE && !choices_are_short(option))
        str_append(s, " CHOICE");
    if (option->type == OPTION_CHOICE && choices_are_short(option)) {
        str_append_char(s, ' ');
        append_choices(option, "|", s);
    } else if (option->type == OPTION_INT && option->choices) {
        str_append_char(s, '|');
        append_choices(option, "|", s);
    }
}

/* Starts a part of the remark in brackets: " (" or "; ". */
static void append_separator(struct str *s, bool *open)
{
    str_append(s, *open ? "; " : " (");
    *open = true;
}

static void append_aliases(const struct option *option, struct str *s, bool *open)
{
    for (size_t i = 0; option->aliases && option->aliases[i]; i++) {
        const char *alias = option->aliases[i], *equal = strchr(alias, '=');
        append_separator(s, open);
        str_appendf(s, "%s--%.*s", equal ? "" : "also ", (int)strcspn(alias, "="), alias);
        if (equal)
            str_appendf(s, " = %s", equal + 1);
    }
}

static void append_remarks(const struct option *option, struct str *s)
{
    bool open = false;
    if (option->type == OPTION_CHOICE && !choices_are_short(option)) {
        append_separator(s, &open);
        str_append(s, "one of ");
        append_choices(option, ", ", s);
    }
    if (option->min != 0 || option->max != 0) {
        append_separator(s, &open);
        option_append_range(option, s);
    }
    if (option->preset && *option->preset) {
        append_separator(s, &open);
        str_appendf(s, "default %s", option->preset);
        if (option->type == OPTION_BOOL && strcmp(option->preset, "true") == 0)
            str_appendf(s, "; --no_%s", option->name);
    }
    append_aliases(option, s, &open);
    if (open)
        str_append_char(s, ')');
}

static void append_row(struct str *out, const char *head, const char *text)
{
    size_t n = strlen(head);
    str_append(out, head);
    if (n + 2 > TEXT_COLUMN)
        str_appendf(out, "\n%*s", TEXT_COLUMN, "");
    else
        str_appendf(out, "%*s", (int)(TEXT_COLUMN - n), "");
    append_wrapped(out, text, TEXT_COLUMN, TEXT_COLUMN);
}

static bool is_active(const struct option *option)
{
    return option->type != OPTION_NOTE && option->type != OPTION_REFUSE;
}

static void append_table(struct str *out, const struct option_table *table)
{
    struct str head, text;
    bool titled = false;
    str_init(&head);
    str_init(&text);
    for (const struct option *option = table->options; option->name; option++) {
        if (!is_active(option))
            continue;
        if (!titled)
            str_appendf(out, "\n%s\n", table->title);
        titled = true;
        str_clear(&head);
        str_clear(&text);
        append_head(option, &head);
        str_append(&text, option->help ? option->help : "");
        append_remarks(option, &text);
        append_row(out, head.data, text.data);
    }
    str_release(&head);
    str_release(&text);
}

static void append_others(const struct options *o, enum option_type type, const char *title, struct str *out)
{
    struct str head;
    bool titled = false;
    str_init(&head);
    for (size_t t = 0; o->tables[t].options; t++) {
        for (const struct option *option = o->tables[t].options; option->name; option++) {
            if (option->type != type)
                continue;
            if (!titled)
                str_appendf(out, "\n%s\n", title);
            titled = true;
            str_clear(&head);
            append_head(option, &head);
            append_row(out, head.data, option->help);
        }
    }
    str_release(&head);
}

void options_print_help(const struct options *o, struct str *out)
{
    str_appendf(out, "usage: plait %s [--NAME VALUE ...] %s\n", o->command,
                o->takes_words ? "[WORD ...]" : "[FILE.json]");
    for (size_t t = 0; o->tables[t].options; t++)
        append_table(out, &o->tables[t]);
    str_append(out, "\nAlways\n");
    append_row(out, "  --args_file FILE",
               o->takes_words
                   ? "JSON file with options; those of the command line win"
                   : "JSON file with options, also FILE.json alone; those of the command line win");
    append_row(out, "  --help, -h", "this text");
    append_others(o, OPTION_NOTE, "Accepted with a note, without effect here", out);
    append_others(o, OPTION_REFUSE, "Refused", out);
}
