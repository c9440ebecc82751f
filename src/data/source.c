/* Sets of files: patterns, endings, hashes. One file is in source_file.c, reading in source_reader.c. */
#include "data/source.h"

#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/content.h"
#include "data/source_table.h"

static const struct {
    const char *ending;
    const struct source_format *format;
} endings[] = {
    { ".csv", &source_csv },
    { ".json", &source_array }, /* unless it begins like JSON lines */
    { ".jsonl", &source_jsonl },
    { ".txt", &source_text },
};
enum { FIRST = 4096, ENDINGS = sizeof(endings) / sizeof(endings[0]) };

/* ---- names ---- */

/* The length of a name without the ending of compressed files. */
static size_t split_name(const char *path, enum packing *packing)
{
    *packing = PACKING_NONE;
    for (int i = PACKING_NONE + 1; i < PACKING_COUNT; i++)
        if (str_ends_with(path, packing_endings[i]))
            *packing = (enum packing)i;
    return strlen(path) - strlen(packing_endings[*packing]);
}

static int find_format(const struct source_options *o, struct source_file *f)
{
    size_t length = split_name(f->path, &f->packing);
    f->format = o->corpus ? &source_lines : NULL;
    for (int i = 0; i < ENDINGS; i++) {
        size_t n = strlen(endings[i].ending);
        if (length >= n && memcmp(f->path + length - n, endings[i].ending, n) == 0)
            f->format = endings[i].format;
    }
    if (o->corpus && f->format == &source_text)
        f->format = &source_lines;
    if (f->format)
        return OK;
    int status =
        fail(ERR_USAGE, "`%s` should be a csv, a json or a txt file (found \"%s\")", o->option, f->path);
    if (file_is_directory(f->path))
        error_hint("it is a directory: '%s/*' names the files in it", f->path);
    else
        error_hint(
            "names end in .csv, .json, .jsonl or .txt, and .gz or .zst behind that where it is compressed");
    return status;
}

/* Whether a file of JSON is an array, or has one in an object, or holds a value a line. */
static int find_json_format(const struct source_options *o, struct source_file *f)
{
    struct source_head h = { .limit = FIRST };
    str_init(&h.bytes);
    int status = source_head_read(f, &h);
    const char *p = h.bytes.data, *end = p + h.bytes.length;
    p += h.bytes.length >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    bool array = p < end && *p == '[' && f->format == &source_array;
    f->format = array || o->json_field ? &source_array : &source_jsonl;
    str_release(&h.bytes);
    return status;
}

/* ---- sets ---- */

static int add_file(struct source_set *s, const char *path)
{
    const struct source_options *o = s->options;
    bool standard = strcmp(path, "-") == 0;
    s->files = mem_grow(s->files, s->count, &s->capacity, sizeof(*s->files));
    struct source_file *f = &s->files[s->count++];
    *f = (struct source_file){ .format = o->corpus ? &source_lines : &source_text, .fd = -1 };
    f->path = mem_strdup(standard ? "standard input" : path);
    if (!standard)
        TRY(find_format(o, f));
    TRY(source_file_find(f, o, standard));
    if (f->format == &source_array || f->format == &source_jsonl)
        TRY(find_json_format(o, f));
    s->bytes += f->size;
    return source_find_columns(s, f);
}

static int add_pattern(struct source_set *s, const char *pattern)
{
    char **paths = NULL;
    size_t count = 0;
    if (strcmp(pattern, "-") == 0)
        return add_file(s, pattern);
    TRY(file_glob(pattern, &paths, &count));
    int status = count ? OK : fail(ERR_OPEN, "%s: no file matches the pattern", pattern);
    for (size_t i = 0; i < count && status == OK; i++)
        status = add_file(s, paths[i]);
    names_free(paths, count);
    return status;
}

/* What was asked for and no file can give. */
static int check_wishes(const struct source_set *s)
{
    bool columns = false, json = false;
    for (size_t i = 0; i < s->count; i++) {
        columns |= s->files[i].format->look != NULL;
        json |= s->files[i].format == &source_array;
    }
    if (s->options->json_field && !json)
        return fail(ERR_USAGE, "`json_field` is given, and no file of `%s` is JSON", s->options->option);
    if (s->options->columns[COLUMN_TEXT] && !columns)
        note("text_column: text files have no columns");
    return OK;
}

int source_set_open(struct source_set *s, const struct source_options *options)
{
    struct source_set set = { .options = options };
    int status = OK, standard = 0;
    memcpy(set.names, options->columns, sizeof(set.names));
    for (size_t i = 0; i < options->pattern_count && status == OK; i++) {
        standard += strcmp(options->patterns[i], "-") == 0;
        if (standard > 1)
            status = fail(ERR_USAGE, "`%s` names standard input twice", options->option);
        else
            status = add_pattern(&set, options->patterns[i]);
    }
    if (status == OK && set.count == 0)
        status = fail(ERR_USAGE, "`%s` names no file", options->option);
    if (status == OK)
        status = check_wishes(&set);
    if (status == OK)
        *s = set;
    else
        source_set_close(&set);
    return status;
}

void source_set_close(struct source_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->files[i].fd >= 0)
            close(s->files[i].fd);
        mem_free(s->files[i].path);
    }
    mem_free(s->files);
    mem_free(s->chosen);
    mem_free(s->chosen_of);
    *s = (struct source_set){ 0 };
}

static int hash_file(const struct source_file *f, uint64_t *hash)
{
    int fd;
    TRY(source_file_open(f, &fd));
    int status = content_hash(fd, f->path, 0, f->size, hash);
    close(fd);
    return status;
}

int source_set_hash(const struct source_set *s, uint64_t *hash)
{
    struct str all;
    int status = OK;
    str_init(&all);
    for (size_t i = 0; i < s->count && status == OK; i++) {
        const struct source_file *f = &s->files[i];
        uint64_t content;
        status = hash_file(f, &content);
        if (status == OK)
            str_appendf(&all, "%s %s %llu %016llx\n", f->format->name, packing_names[f->packing],
                        (unsigned long long)f->size, (unsigned long long)content);
    }
    if (status == OK)
        *hash = hash_bytes(all.data, all.length, CONTENT_SEED);
    str_release(&all);
    return status;
}

int source_set_check(const struct source_set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        int fd;
        TRY(source_file_open(&s->files[i], &fd));
        close(fd);
    }
    return OK;
}
