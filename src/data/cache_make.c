/* Making a cache: windows of data are tokenized by all threads, a tile each, and written in order. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "data/cache.h"
#include "data/cache_file.h"
#include "data/cache_lock.h"
#include "data/content.h"
#include "data/labels.h"
#include "data/tokenize.h"

enum { NARROW_LIMIT = 1 << 16, CHUNK = 1 << 14, NAME_TRIES = 1000 };

struct making {
    const struct token_cache_options *options;
    struct source_options source;
    struct source_set set;
    struct cache_header header; /* counts grow as tiles are written */
    char *path, *temporary;
    int fd;
    struct source_reader reader;
    struct tokenizing tokenizing;
    struct tile_tokens *tiles; /* beside reader.tiles */
    size_t tile_capacity;
    size_t first; /* tile that the next parallel_for begins with */
    struct cache_writer writer;
    struct cache_part labels, types, words, ends;
    const struct source_file *strange; /* the file warned about last */
    char *first_bad;                   /* sentence of the first bad row that was skipped */
    int bad_status;
};

/* ---- what the cache is of ---- */

/* Ids are below it; a cache whose ids fit 16 bits uses them. */
static int64_t id_bound(const struct making *m)
{
    const struct token_cache_options *o = m->options;
    int64_t bound = o->tokenizer ? tokenizer_id_limit(o->tokenizer) : 0;
    for (size_t i = 0; i < m->set.count; i++) {
        int64_t rows = o->id_limit ? o->id_limit : INT32_MAX;
        if (m->set.files[i].tokenized && rows > bound)
            bound = rows;
    }
    return bound;
}

static void append_name(struct str *s, const char *name)
{
    str_appendf(s, " %d:%s", name ? (int)strlen(name) : -1, name ? name : "");
}

static int find_key(struct making *m)
{
    const struct token_cache_options *o = m->options;
    uint64_t data;
    struct str all;
    TRY(source_set_hash(&m->set, &data));
    str_init(&all);
    str_appendf(&all, "%d %u %016llx %016llx", CACHE_VERSION, m->header.width, (unsigned long long)data,
                (unsigned long long)(o->tokenizer ? tokenizer_hash(o->tokenizer) : 0));
    str_appendf(&all, " %d %d %d %d", m->tokenizing.eos, o->no_special_tokens, o->drop_linebreaks,
                o->drop_blank);
    str_appendf(&all, " %lld", (long long)o->max_bad);
    if (o->dropout)
        str_appendf(&all, " dropout %016llx", (unsigned long long)o->seed);
    for (int c = 0; c < COLUMN_COUNT; c++)
        append_name(&all, o->columns[c]);
    append_name(&all, o->json_field);
    if (o->likely_text)
        append_name(&all, o->likely_text);
    append_name(&all, o->source_prefix);
    if (m->set.names[COLUMN_TEXT_PAIR])
        str_appendf(&all, " pairs %lld %d", (long long)o->pair_length, o->pair_types);
    str_appendf(&all, " %d %d %016llx", o->rows, o->bare_target,
                o->rows == ROWS_CLASS ? (unsigned long long)label_set_hash(o->labels) : 0);
    m->header.key = hash_bytes(all.data, all.length, CONTENT_SEED);
    str_clear(&all);
    str_appendf(&all, "%s/%016llx.tokens", o->directory, (unsigned long long)m->header.key);
    m->path = str_detach(&all);
    return OK;
}

/* ---- writing ---- */

/* Leftovers of processes that were killed; the lock is ours. */
static void remove_leftovers(const struct making *m)
{
    char **names = NULL, prefix[24];
    size_t count = 0;
    snprintf(prefix, sizeof(prefix), ".%016llx.", (unsigned long long)m->header.key);
    if (directory_list(m->options->directory, &names, &count) != OK)
        error_clear();
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(m->options->directory, names[i]);
        if (str_starts_with(names[i], prefix) && str_ends_with(names[i], ".tmp"))
            unlink(path);
        mem_free(path);
    }
    names_free(names, count);
}

static int create_temporary(struct making *m)
{
    struct str name;
    str_init(&name);
    for (int i = 0; i < NAME_TRIES && m->fd < 0; i++) {
        str_clear(&name);
        str_appendf(&name, "%s/.%016llx.%ld.%d.tmp", m->options->directory, (unsigned long long)m->header.key,
                    (long)getpid(), i);
        m->fd = open(name.data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (m->fd < 0 && errno != EEXIST)
            break;
    }
    m->temporary = str_detach(&name);
    return m->fd >= 0 ? OK : fail(ERR_CREATE, "%s: cannot create: %s", m->temporary, strerror(errno));
}

static int write_ids(struct making *m, const struct encoding *e)
{
    uint16_t narrow[CHUNK];
    if (m->header.width == 4)
        return cache_writer_add(&m->writer, e->ids, e->count * sizeof(*e->ids));
    for (size_t at = 0; at < e->count; at += CHUNK) {
        size_t n = e->count - at < CHUNK ? e->count - at : CHUNK;
        for (size_t i = 0; i < n; i++)
            narrow[i] = (uint16_t)e->ids[at + i];
        TRY(cache_writer_add(&m->writer, narrow, n * sizeof(*narrow)));
    }
    return OK;
}

static int write_tile(struct making *m, struct tile_tokens *t)
{
    struct cache_header *h = &m->header;
    for (size_t i = 0; i < t->documents; i++)
        t->ends[i] += h->tokens;
    TRY(write_ids(m, &t->ids));
    TRY(cache_part_add(&m->ends, t->ends, t->documents * sizeof(*t->ends)));
    if (m->tokenizing.kind & KIND_LABELLED)
        TRY(cache_part_add(&m->labels, t->labels, t->ids.count * sizeof(*t->labels)));
    if (h->words)
        TRY(cache_part_add(&m->words, t->words, t->documents * h->words * sizeof(*t->words)));
    if (m->tokenizing.kind & KIND_TYPED)
        TRY(cache_part_add(&m->types, t->types, t->ids.count * sizeof(*t->types)));
    h->tokens += t->ids.count;
    h->documents += t->documents;
    h->labels += (uint64_t)t->label_count;
    h->empty += (uint64_t)t->empty_count;
    h->max_id = t->max_id > h->max_id ? t->max_id : h->max_id;
    return OK;
}

/* ---- reading ---- */

static int account_bad(struct making *m, const struct source_tile *t)
{
    int64_t most = m->options->max_bad;
    if (t->bad == 0)
        return OK;
    m->header.bad += (uint64_t)t->bad;
    if (!m->first_bad) {
        m->bad_status = source_reader_fail(&m->reader, t);
        if (most == 0)
            return m->bad_status;
        m->first_bad = mem_strdup(error_message());
        error_clear();
    }
    if ((int64_t)m->header.bad > most)
        return fail(m->bad_status, "%s (and more than %lld bad lines)", m->first_bad, (long long)most);
    return OK;
}

static void warn_of_bytes(struct making *m, const struct source_tile *t)
{
    if (t->strange == t->length || t->file == m->strange)
        return;
    m->strange = t->file;
    warn("%s: byte %llu is not UTF-8 (found 0x%02x): such bytes are taken as they are", t->file->path,
         (unsigned long long)(t->offset + t->strange), (unsigned)(unsigned char)t->bytes[t->strange]);
}

static void work(void *context, int64_t index)
{
    struct making *m = context;
    size_t i = m->first + (size_t)index;
    tokenize_tile(&m->tokenizing, &m->reader.tiles[i], &m->tiles[i]);
}

/* Tile by tile until a document has told whether there are labels, then all at once. */
static void tokenize_window(struct making *m)
{
    size_t count = m->reader.tile_count;
    if (m->tile_capacity < count) {
        m->tiles = mem_resize(m->tiles, count * sizeof(*m->tiles));
        memset(m->tiles + m->tile_capacity, 0, (count - m->tile_capacity) * sizeof(*m->tiles));
        m->tile_capacity = count;
    }
    for (m->first = 0; m->first < count && m->tokenizing.kind == KIND_UNKNOWN; m->first++)
        work(m, 0);
    parallel_for((int64_t)(count - m->first), work, m);
}

static int report_progress(const struct making *m)
{
    const struct token_cache_options *o = m->options;
    if (o->progress && !o->progress(o->context, source_reader_place(&m->reader), m->set.bytes))
        return fail(ERR_STOPPED, "stopped while `%s` was being tokenized", o->option);
    return OK;
}

static int read_all(struct making *m)
{
    for (;;) {
        TRY(source_reader_next(&m->reader));
        if (m->reader.tile_count == 0)
            return OK;
        TRY(report_progress(m));
        tokenize_window(m);
        for (size_t i = 0; i < m->reader.tile_count; i++) {
            TRY(account_bad(m, &m->reader.tiles[i]));
            warn_of_bytes(m, &m->reader.tiles[i]);
            TRY(write_tile(m, &m->tiles[i]));
        }
    }
}

static int fail_empty(const struct making *m, const char *what)
{
    return fail(ERR_DATA, "`%s`: %s in %zu file%s (%s%s, %llu bytes, %llu documents)", m->options->option,
                what, m->set.count, m->set.count == 1 ? "" : "s", m->set.files[0].path,
                m->set.count == 1 ? "" : ", ...", (unsigned long long)m->set.bytes,
                (unsigned long long)m->header.documents);
}

static int finish(struct making *m)
{
    TRY(source_set_check(&m->set));
    TRY(report_progress(m));
    m->header.data_bytes = m->reader.done;
    if (m->first_bad)
        warn("%llu bad lines skipped, the first: %s", (unsigned long long)m->header.bad, m->first_bad);
    if (m->header.tokens == 0)
        return fail_empty(m, "no usable rows: no tokens");
    if (m->header.labels == 0)
        return fail_empty(m, "no token has a label");
    m->header.labelled = (m->tokenizing.kind & KIND_LABELLED) != 0;
    m->header.typed = (m->tokenizing.kind & KIND_TYPED) != 0;
    m->header.pairs = m->options->rows == ROWS_PAIR;
    TRY(cache_writer_align(&m->writer));
    if (m->header.labelled)
        TRY(cache_part_copy(&m->labels, &m->writer));
    if (m->header.typed)
        TRY(cache_part_copy(&m->types, &m->writer));
    if (m->header.words)
        TRY(cache_part_copy(&m->words, &m->writer));
    TRY(cache_part_copy(&m->ends, &m->writer));
    TRY(cache_writer_end(&m->writer, &m->header));
    return file_rename(m->temporary, m->path);
}

static int build(struct making *m)
{
    TRY(create_temporary(m));
    cache_writer_init(&m->writer, m->fd, m->temporary);
    cache_part_init(&m->labels, m->options->directory);
    cache_part_init(&m->types, m->options->directory);
    cache_part_init(&m->words, m->options->directory);
    cache_part_init(&m->ends, m->options->directory);
    source_reader_init(&m->reader, &m->set);
    int status = read_all(m);
    if (status == OK)
        status = finish(m);
    if (status != OK)
        unlink(m->temporary);
    source_reader_release(&m->reader);
    cache_part_release(&m->ends);
    cache_part_release(&m->words);
    cache_part_release(&m->types);
    cache_part_release(&m->labels);
    cache_writer_release(&m->writer);
    close(m->fd);
    return status;
}

/* ---- finding ---- */

static bool open_old(const struct making *m, struct token_cache *c)
{
    if (m->options->overwrite || !file_exists(m->path))
        return false;
    int status = token_cache_open(m->path, true, c);
    if (status == OK && c->key == m->header.key)
        return true;
    if (status == OK)
        token_cache_close(c);
    note("%s; the data is tokenized again",
         status ? error_message() : "a token cache with another's name was found");
    error_clear();
    return false;
}

static int make_locked(struct making *m, struct token_cache *c)
{
    struct cache_lock lock = { 0 };
    struct str path;
    TRY(directory_create(m->options->directory));
    str_init(&path);
    str_appendf(&path, "%s.lock", m->path);
    int status = cache_lock_begin(&lock, path.data);
    if (status == OK && !open_old(m, c)) {
        if (lock.held)
            remove_leftovers(m);
        status = build(m);
        if (status == OK)
            status = token_cache_open(m->path, false, c);
        if (status == OK)
            c->made = true;
    }
    cache_lock_end(&lock);
    str_release(&path);
    return status;
}

static int check_limit(const struct making *m, const struct token_cache *c)
{
    int64_t limit = m->options->id_limit;
    if (limit && c->max_id >= limit)
        return fail(ERR_DATA, "`%s`: a token is outside the vocabulary (found %d, expected less than %lld)",
                    m->options->option, c->max_id, (long long)limit);
    return OK;
}

static int check_ids_only(const struct source_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (!s->files[i].tokenized)
            return fail(ERR_USAGE,
                        "%s: objective seq2seq needs --source_column and --target_column, or rows of "
                        "input_ids and labels",
                        s->files[i].path);
    return OK;
}

static int make(struct making *m, struct token_cache *c)
{
    TRY(tokenizing_init(&m->tokenizing, m->options));
    TRY(source_set_open(&m->set, &m->source));
    if (m->options->ids_only)
        TRY(check_ids_only(&m->set));
    source_set_tell(&m->set);
    m->header.words = m->options->rows == ROWS_CLASS ? (uint32_t)label_set_words(m->options->labels) : 0;
    m->header.width = id_bound(m) <= NARROW_LIMIT ? 2 : 4;
    TRY(find_key(m));
    if (!open_old(m, c))
        TRY(make_locked(m, c));
    if (m->set.names[COLUMN_TEXT])
        c->text_column = mem_strdup(m->set.names[COLUMN_TEXT]);
    if (m->set.names[COLUMN_TEXT_PAIR])
        c->pair_column = mem_strdup(m->set.names[COLUMN_TEXT_PAIR]);
    int status = check_limit(m, c);
    if (status != OK)
        token_cache_close(c);
    return status;
}

int token_cache_make(const struct token_cache_options *o, struct token_cache *c)
{
    struct making m = { .options = o, .fd = -1, .header.max_id = -1 };
    struct token_cache made = { 0 };
    m.source = (struct source_options){ .option = o->option,
                                        .patterns = o->patterns,
                                        .pattern_count = o->pattern_count,
                                        .spool_directory = o->directory,
                                        .drop_linebreaks = o->drop_linebreaks,
                                        .likely_text = o->likely_text,
                                        .json_field = o->json_field,
                                        .pairs = o->rows == ROWS_PAIR,
                                        .sentences = o->sentences,
                                        .max_bad = o->max_bad };
    memcpy(m.source.columns, o->columns, sizeof(m.source.columns));
    int status = make(&m, &made);
    if (status == OK)
        *c = made;
    for (size_t i = 0; i < m.tile_capacity; i++)
        tile_tokens_release(&m.tiles[i]);
    mem_free(m.tiles);
    tokenizing_release(&m.tokenizing);
    source_set_close(&m.set);
    mem_free(m.path);
    mem_free(m.temporary);
    mem_free(m.first_bad);
    return status;
}
