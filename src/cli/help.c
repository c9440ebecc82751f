#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

struct option_table *command_tables(const struct command *c, void *values, struct global_options *global)
{
    size_t own = option_parts_bind(c->parts, values, NULL),
           shared = option_parts_bind(global_parts, global, NULL);
    struct option_table *tables = mem_alloc_array(own + shared + 1, sizeof(tables[0]));

    option_parts_bind(c->parts, values, tables);
    option_parts_bind(global_parts, global, tables + own);
    return tables;
}

void help_print(struct str *out)
{
    size_t width = 0;

    for (int i = 0; command_table[i]; i++)
        if (command_table[i]->summary && strlen(command_table[i]->name) > width)
            width = strlen(command_table[i]->name);
    str_append(out, "plait trains, fine-tunes and runs transformer language models.\n\n"
                    "usage: plait COMMAND [--NAME VALUE ...] [FILE.json]\n\n");
    for (int i = 0; command_table[i]; i++)
        if (command_table[i]->summary)
            str_appendf(out, "  %-*s  %s\n", (int)width, command_table[i]->name, command_table[i]->summary);
    str_append(out, "\nplait COMMAND --help says what a command does and takes.\n"
                    "plait --version names this version and what it was built with.\n");
}
