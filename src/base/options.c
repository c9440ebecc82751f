/* Command lines. The words are first sorted into options with their values and other words, then an options
 * file is read if there is one, then the options of the command line are set, so that they win wherever the
 * file was named. */
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/options_internal.h"

enum { ARGS_FILE_LIMIT = 16 << 20 };

/* ---- names ---- */

bool option_name_equals(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length != b_length)
        return false;
    for (size_t i = 0; i < a_length; i++)
        if ((a[i] == '-' ? '_' : a[i]) != (b[i] == '-' ? '_' : b[i]))
            return false;
    return true;
}

static bool has_negation(const struct option *option)
{
    return option->type == OPTION_BOOL && option->preset && strcmp(option->preset, "true") == 0;
}

/* Whether the name is one of this option's. */
static bool option_match(const struct option *option, const char *name, size_t length, struct option_ref *ref)
{
    ref->fixed = NULL;
    ref->negated = false;
    if (option_name_equals(name, length, option->name, strlen(option->name)))
        return true;
    for (size_t i = 0; option->aliases && option->aliases[i]; i++) {
        const char *alias = option->aliases[i];
        size_t n = strcspn(alias, "=");
        if (!option_name_equals(name, length, alias, n))
            continue;
        ref->fixed = alias[n] ? alias + n + 1 : NULL;
        return true;
    }
    ref->negated = has_negation(option) && length > 3 && option_name_equals(name, 3, "no_", 3) &&
                   option_name_equals(name + 3, length - 3, option->name, strlen(option->name));
    return ref->negated;
}

bool option_find(const struct options *o, const char *name, size_t length, struct option_ref *ref)
{
    for (size_t t = 0; o->tables[t].options; t++) {
        const struct option_table *table = &o->tables[t];
        for (size_t i = 0; table->options[i].name; i++) {
            if (!option_match(&table->options[i], name, length, ref))
                continue;
            ref->option = &table->options[i];
            ref->seen = &o->seen[t][i];
            ref->member = table->target ? (char *)table->target + table->options[i].offset : NULL;
            return true;
        }
    }
    return false;
}

bool option_is_switch(const struct option_ref *ref)
{
    return ref->option->type == OPTION_BOOL || ref->option->bare || ref->fixed || ref->negated;
}

static size_t option_count(const struct option_table *table)
{
    size_t n = 0;
    while (table->options[n].name)
        n++;
    return n;
}

/* Every name of every option; the arena owns the array. */
static const char **all_names(const struct options *o, struct arena *memory, size_t *count)
{
    const char **names = NULL;
    size_t n = 0, capacity = 0;
    for (size_t t = 0; o->tables[t].options; t++) {
        for (const struct option *option = o->tables[t].options; option->name; option++) {
            names = mem_grow(names, n, &capacity, sizeof(*names));
            names[n++] = option->name;
            for (size_t i = 0; option->aliases && option->aliases[i]; i++) {
                names = mem_grow(names, n, &capacity, sizeof(*names));
                names[n++] = arena_strndup(memory, option->aliases[i], strcspn(option->aliases[i], "="));
            }
            if (!has_negation(option))
                continue;
            names = mem_grow(names, n, &capacity, sizeof(*names));
            names[n++] = arena_printf(memory, "no_%s", option->name);
        }
    }
    names = mem_grow(names, n, &capacity, sizeof(*names));
    names[n++] = "help";
    *count = n;
    return names;
}

void option_append_unknown(const struct options *o, const char *name, struct str *why)
{
    struct arena memory;
    size_t count;
    arena_init(&memory);
    char *plain = arena_strdup(&memory, name);
    for (char *p = plain; *p; p++)
        if (*p == '-')
            *p = '_';
    const char **names = all_names(o, &memory, &count);
    const char *nearest = str_nearest(plain, names, count);
    str_append(why, "unknown option");
    if (nearest)
        str_appendf(why, " (did you mean --%s?)", nearest);
    mem_free(names);
    arena_release(&memory);
}

/* ---- life ---- */

size_t option_parts_bind(const struct option_part *parts, void *values, struct option_table *out)
{
    size_t n = 0;
    for (const struct option_part *p = parts; p->options || p->parts; p++) {
        char *target = (char *)values + p->offset;
        if (p->parts)
            n += option_parts_bind(p->parts, target, out ? out + n : NULL);
        else if (out)
            out[n++] = (struct option_table){ p->title, p->options, target };
        else
            n++;
    }
    return n;
}

static void check_names(const struct options *o)
{
    struct arena memory;
    size_t count;
    arena_init(&memory);
    const char **names = all_names(o, &memory, &count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (names[i][0] == names[j][0] &&
                option_name_equals(names[i], strlen(names[i]), names[j], strlen(names[j])))
                BUG("%s: two options are called %s", o->command, names[i]);
    mem_free(names);
    arena_release(&memory);
}

void options_init(struct options *o, const char *command, const struct option_table *tables)
{
    size_t table_count = 0;
    *o = (struct options){ .tables = tables, .command = command };
    arena_init(&o->memory);
    while (tables[table_count].options)
        table_count++;
    check_names(o);
    o->seen = arena_alloc(&o->memory, (table_count + 1) * sizeof(*o->seen));
    for (size_t t = 0; t < table_count; t++) {
        const struct option *options = tables[t].options;
        size_t n = option_count(&tables[t]);
        o->seen[t] = arena_alloc(&o->memory, (n + 1) * sizeof(*o->seen[t]));
        for (size_t i = 0; i < n; i++)
            option_set_preset(o, &options[i], (char *)tables[t].target + options[i].offset);
    }
}

void options_release(struct options *o)
{
    arena_release(&o->memory);
    *o = (struct options){ 0 };
}

bool options_given(const struct options *o, const char *name)
{
    struct option_ref ref;
    return option_find(o, name, strlen(name), &ref) && ref.seen->source != SOURCE_NONE;
}

/* ---- the command line ---- */

/* One option of the command line with its values. */
struct given {
    struct option_ref ref;
    const char *name;
    const char *const *texts;
    size_t count;
};

struct parse {
    struct options *o;
    struct given *given;
    size_t given_count, given_capacity;
    const char **words;
    size_t word_count, word_capacity;
    const char *args_file;
    int argc, at;
    char *const *argv;
};

static bool word_is_option(const char *word)
{
    return word[0] == '-' && word[1] && word[1] != '.' && (word[1] < '0' || word[1] > '9');
}

static void one_value(struct parse *p, struct given *g, const char *text)
{
    const char **texts = arena_alloc(&p->o->memory, sizeof(*texts));
    texts[0] = text;
    g->texts = texts;
    g->count = 1;
}

static int fail_no_value(const struct parse *p, const struct given *g)
{
    struct str expected;
    str_init(&expected);
    option_append_expected(g->ref.option, &expected);
    int status = fail(ERR_USAGE, "--%s: no value (expected %s)", g->name, expected.data);
    if (p->at < p->argc)
        error_hint("a value that starts with a dash is given as --%s=VALUE", g->name);
    str_release(&expected);
    return status;
}

/* A switch takes the word that follows when it is one of its values. */
static bool is_value_of_switch(const struct option *option, const char *text)
{
    bool ignored, found = option_text_is_bool(text, &ignored);

    for (size_t i = 0; option->type == OPTION_CHOICE && option->choices[i] && !found; i++)
        found = strcmp(option->choices[i], text) == 0;
    return found;
}

/* The values that follow the option's word; p->at is moved behind them. */
static int take_values(struct parse *p, struct given *g, const char *inline_value)
{
    const struct option *option = g->ref.option;
    bool optional = option->type == OPTION_NOTE || option->type == OPTION_REFUSE;
    bool more = p->at < p->argc && !word_is_option(p->argv[p->at]);
    if (inline_value) {
        one_value(p, g, inline_value);
    } else if (option_is_switch(&g->ref)) {
        bool follows = more && is_value_of_switch(option, p->argv[p->at]);
        one_value(p, g, follows ? p->argv[p->at++] : "true");
    } else if (more) {
        g->texts = (const char *const *)p->argv + p->at;
        do {
            p->at++;
            g->count++;
        } while (option->type == OPTION_LIST && p->at < p->argc && !word_is_option(p->argv[p->at]));
    } else if (optional) {
        one_value(p, g, "true");
    } else {
        return fail_no_value(p, g);
    }
    return OK;
}

static int take_args_file(struct parse *p, const char *file)
{
    if (!file && p->at < p->argc)
        file = p->argv[p->at++];
    if (!file)
        return fail(ERR_USAGE, "--args_file: no value (expected a file)");
    if (p->args_file && strcmp(p->args_file, file) != 0)
        return fail(ERR_USAGE, "--args_file: two files with options (found \"%s\" after \"%s\")", file,
                    p->args_file);
    p->args_file = file;
    return OK;
}

static int fail_unknown(const struct options *o, const char *word, size_t length)
{
    struct str why;
    struct arena memory;
    str_init(&why);
    arena_init(&memory);
    char *name = arena_strndup(&memory, word, length);
    option_append_unknown(o, name + strspn(name, "-"), &why);
    struct str shown;
    str_init(&shown);
    str_append_escaped(&shown, name, length, 80);
    int status = fail(ERR_USAGE, "%s: %s", shown.data, why.data);
    error_hint("plait %s --help lists the options", o->command);
    str_release(&shown);
    str_release(&why);
    arena_release(&memory);
    return status;
}

static int take_option(struct parse *p)
{
    const char *word = p->argv[p->at++], *name = word + 2, *equal = strchr(word, '=');
    size_t length = equal ? (size_t)(equal - name) : strlen(word) - 2;
    struct given g = { 0 };
    if (word[1] != '-')
        return fail_unknown(p->o, word, equal ? (size_t)(equal - word) : strlen(word));
    if (option_find(p->o, name, length, &g.ref)) {
        g.name = arena_strndup(&p->o->memory, name, length);
        TRY(take_values(p, &g, equal ? equal + 1 : NULL));
        p->given = mem_grow(p->given, p->given_count, &p->given_capacity, sizeof(*p->given));
        p->given[p->given_count++] = g;
        return OK;
    }
    if (option_name_equals(name, length, "args_file", 9))
        return take_args_file(p, equal ? equal + 1 : NULL);
    return fail_unknown(p->o, word, length + 2);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int sort_words(struct parse *p)
{
    bool only_words = false;
    while (p->at < p->argc && !p->o->help) {
        const char *word = p->argv[p->at];
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            p->at++;
        } else if (!only_words && is_help(word)) {
            p->o->help = true;
        } else if (!only_words && word_is_option(word)) {
            TRY(take_option(p));
        } else {
            p->words = mem_grow(p->words, p->word_count, &p->word_capacity, sizeof(*p->words));
            p->words[p->word_count++] = arena_strdup(&p->o->memory, word);
            p->at++;
        }
    }
    return OK;
}

static int place_words(struct parse *p)
{
    struct options *o = p->o;
    if (o->takes_words) {
        size_t bytes = p->word_count * sizeof(*p->words);
        o->positional.items = arena_alloc(&o->memory, bytes);
        if (bytes > 0)
            memcpy(o->positional.items, p->words, bytes);
        o->positional.count = p->word_count;
        return OK;
    }
    for (size_t i = 0; i < p->word_count; i++) {
        const char *word = p->words[i];
        if (i > 0 || !str_ends_with(word, ".json"))
            return fail(ERR_USAGE,
                        "%s: a word that belongs to no option (found \"%s\", expected --NAME VALUE, or one "
                        "FILE.json with options)",
                        o->command, word);
        p->at = p->argc;
        TRY(take_args_file(p, word));
    }
    return OK;
}

static int read_args_file(struct options *o, const char *path)
{
    struct str text;
    str_init(&text);
    int status = file_read(path, ARGS_FILE_LIMIT, &text);
    if (status == OK)
        status = options_parse_json(o, path, text.data, text.length);
    str_release(&text);
    return status;
}

static int set_given(struct options *o, const struct given *g)
{
    struct option_input in = {
        .source = SOURCE_COMMAND, .name = g->name, .texts = g->texts, .count = g->count
    };
    struct str why;
    str_init(&why);
    int status = OK;
    if (!option_assign(o, &g->ref, &in, &why))
        status = fail(ERR_USAGE, "--%s: %s", g->name, why.data);
    str_release(&why);
    return status;
}

int options_parse(struct options *o, int argc, char *const *argv)
{
    struct parse p = { .o = o, .argc = argc, .argv = argv };
    int status = sort_words(&p);
    if (status != OK || o->help)
        goto out;
    status = place_words(&p);
    if (status == OK && p.args_file)
        status = read_args_file(o, p.args_file);
    for (size_t i = 0; status == OK && i < p.given_count; i++)
        status = set_given(o, &p.given[i]);
out:
    mem_free(p.given);
    mem_free(p.words);
    return status;
}

int options_set(struct options *o, const char *name, const char *value)
{
    struct given g = { .name = name };
    if (!option_find(o, name, strlen(name), &g.ref))
        return fail_unknown(o, name, strlen(name));
    const char *text = value ? value : "true";
    g.texts = &text;
    g.count = 1;
    return set_given(o, &g);
}
