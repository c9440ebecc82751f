/* The manual page, read off the same tables as the parser and --help: plait manual > docs/plait.1 */
#include <string.h>

#include "base/mem.h"
#include "base/options_internal.h"
#include "cli/cli.h"

/* Text in roff: backslashes and dashes are its own, and so is a dot or quote at the start of a line. */
static void append_roff(struct str *out, const char *text)
{
    bool line_start = true;

    for (const char *p = text; *p; p++) {
        if (line_start && (*p == '.' || *p == '\''))
            str_append(out, "\\&");
        if (*p == '\\')
            str_append(out, "\\e");
        else if (*p == '-')
            str_append(out, "\\-");
        else
            str_append_char(out, *p);
        line_start = *p == '\n';
    }
}

static void append_value(const struct option *option, struct str *out)
{
    static const char *const values[] = {
        [OPTION_INT] = "N", [OPTION_DOUBLE] = "X", [OPTION_STRING] = "TEXT", [OPTION_LIST] = "TEXT ..."
    };

    if (option->type == OPTION_CHOICE || (option->type == OPTION_INT && option->choices)) {
        str_append(out, option->type == OPTION_INT ? " N" : " ");
        for (size_t i = 0; option->choices[i]; i++)
            str_appendf(out, "%s%s", i || option->type == OPTION_INT ? "|" : "", option->choices[i]);
    } else if (option->type < sizeof(values) / sizeof(values[0]) && values[option->type]) {
        str_appendf(out, " %s", values[option->type]);
    }
}

static void append_option(const struct option *option, struct str *out)
{
    struct str text;

    str_init(&text);
    str_appendf(&text, "--%s", option->name);
    append_value(option, &text);
    str_append(out, ".TP\n.B ");
    append_roff(out, text.data);
    str_append_char(out, '\n');
    str_clear(&text);
    if (option->type == OPTION_NOTE)
        str_append(&text, "Accepted, without effect: ");
    if (option->type == OPTION_REFUSE)
        str_append(&text, "Refused: ");
    str_append(&text, option->help);
    if (option->min != 0 || option->max != 0) {
        str_append(&text, "; ");
        option_append_range(option, &text);
    }
    if (option->preset && *option->preset)
        str_appendf(&text, "; default %s", option->preset);
    for (size_t i = 0; option->aliases && option->aliases[i]; i++) {
        const char *alias = option->aliases[i], *equal = strchr(alias, '=');
        str_appendf(&text, "; %s--%.*s", equal ? "" : "also ", (int)strcspn(alias, "="), alias);
        if (equal)
            str_appendf(&text, " is %s", equal + 1);
    }
    append_roff(out, text.data);
    str_append_char(out, '\n');
    str_release(&text);
}

static void append_command(const struct command *c, struct str *out)
{
    void *values = mem_alloc(c->bytes + 1);
    struct option_table *tables;

    str_append(out, ".SS plait ");
    append_roff(out, c->name);
    str_append_char(out, '\n');
    append_roff(out, c->summary);
    str_append(out, ".\n");
    if (c->example) {
        str_append(out, ".PP\n.EX\n");
        append_roff(out, c->example);
        str_append(out, "\n.EE\n");
    }
    tables = mem_alloc_array(option_parts_bind(c->parts, values, NULL) + 1, sizeof(tables[0]));
    option_parts_bind(c->parts, values, tables);
    for (const struct option_table *t = tables; t->options; t++)
        for (const struct option *option = t->options; option->name; option++)
            append_option(option, out);
    mem_free(tables);
    mem_free(values);
}

void manual_print(struct str *out)
{
    str_append(
        out,
        ".\\\" Made by \"plait manual\" from the tables of options.\n"
        ".TH PLAIT 1 \"\" \"plait " PLAIT_BUILD_VERSION "\"\n.SH NAME\n"
        "plait \\- train, fine\\-tune and run transformer language models\n.SH SYNOPSIS\n"
        ".B plait\nCOMMAND [\\-\\-NAME VALUE ...] [FILE.json]\n.SH DESCRIPTION\n"
        "Options keep the names and defaults of Hugging Face's scripts.\n"
        "\"\\-\" and \"_\" in a name are the same, \\-\\-x=v works,\n"
        "booleans stand bare or take true or false,\n"
        "and those that are true by default have \\-\\-no_NAME.\n"
        "FILE.json, or \\-\\-args_file FILE, holds options as a JSON object; the command line wins over it.\n"
        "A file to read or write may be \"\\-\".\n"
        "Results go to standard output or the named file, everything else to standard error.\n"
        ".SH COMMANDS\n");
    for (int i = 0; command_table[i]; i++)
        if (command_table[i]->summary)
            append_command(command_table[i], out);
    str_append(out, ".SH OPTIONS OF EVERY COMMAND\n");
    for (const struct option *option = global_options; option->name; option++)
        append_option(option, out);
    str_append(
        out,
        ".SH EXIT STATUS\n"
        "0 done; 64 wrong command line; 65 bad data; 66 cannot open; 70 internal error; 71 out of memory or\n"
        "another resource; 73 cannot create; 74 read or write failed; 75 stopped on request with a\n"
        "checkpoint; 78 configuration that cannot be.\n.SH ENVIRONMENT\n"
        "HF_HUB_CACHE, HF_HOME: caches that names of models are looked up in.\n"
        "PLAIT_ISA: base, avx2 or avx512 caps the instruction set.\n");
}
