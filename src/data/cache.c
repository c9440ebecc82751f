/* Opening and reading caches; making them is in cache_make.c. */
#include "data/cache.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "data/cache_file.h"
#include "data/content.h"

static void point(struct token_cache *c, const struct cache_header *h, const struct cache_layout *layout)
{
    c->key = h->key;
    c->token_count = (int64_t)h->tokens;
    c->document_count = (int64_t)h->documents;
    c->label_count = (int64_t)h->labels;
    c->empty_count = (int64_t)h->empty;
    c->bad_count = (int64_t)h->bad;
    c->data_bytes = h->data_bytes;
    c->max_id = (int32_t)h->max_id;
    c->width = (int)h->width;
    c->tokens = c->map.data + layout->tokens;
    if (h->labelled)
        c->labels = (const void *)(c->map.data + layout->labels);
    if (h->typed)
        c->types = (const void *)(c->map.data + layout->types);
    if (h->words)
        c->words = (const void *)(c->map.data + layout->words);
    c->word_count = (int)h->words;
    c->pairs = h->pairs != 0;
    c->ends = (const void *)(c->map.data + layout->ends);
}

static int check_content(const struct token_cache *c, const struct cache_header *h, const char *path)
{
    uint64_t content;
    TRY(content_hash(c->map.fd, path, CACHE_PAGE, c->map.length - CACHE_PAGE, &content));
    if (content != h->content)
        return fail(ERR_DATA, "%s: the token cache is damaged (found the hash %016llx, expected %016llx)",
                    path, (unsigned long long)content, (unsigned long long)h->content);
    return OK;
}

static int check_file(struct token_cache *c, bool whole, const char *path)
{
    struct cache_header h;
    struct cache_layout layout;
    if (c->map.length < CACHE_PAGE)
        return fail(ERR_DATA, "%s: the token cache is cut off (found %zu bytes, expected at least %d)", path,
                    c->map.length, CACHE_PAGE);
    TRY(fd_pread(c->map.fd, path, &h, sizeof(h), 0));
    TRY(cache_header_check(&h, path, &layout));
    if (c->map.length != layout.size)
        return fail(ERR_DATA, "%s: the token cache is cut off or too long (found %zu bytes, expected %llu)",
                    path, c->map.length, (unsigned long long)layout.size);
    if (whole)
        TRY(check_content(c, &h, path));
    point(c, &h, &layout);
    return OK;
}

int token_cache_open(const char *path, bool whole, struct token_cache *c)
{
    struct token_cache opened = { 0 };
    TRY(file_map_open(&opened.map, path));
    int status = check_file(&opened, whole, path);
    if (status != OK) {
        file_map_close(&opened.map);
        return status;
    }
    opened.path = mem_strdup(path);
    *c = opened;
    return OK;
}

void token_cache_close(struct token_cache *c)
{
    file_map_close(&c->map);
    mem_free(c->path);
    mem_free(c->text_column);
    mem_free(c->pair_column);
    *c = (struct token_cache){ .map.fd = -1 };
}

int token_cache_read(const struct token_cache *c, int64_t begin, int64_t count, int32_t *ids, int32_t *labels)
{
    if (begin < 0 || count < 0 || begin > c->token_count - count)
        return fail(ERR_DATA,
                    "%s: the token cache is damaged (found a document of tokens %lld to %lld, expected at "
                    "most %lld)",
                    c->path, (long long)begin, (long long)(begin + count), (long long)c->token_count);
    TRY(file_map_check(&c->map, c->path));
    const uint16_t *narrow = c->tokens;
    const int32_t *wide = c->tokens;
    if (c->width == 4)
        memcpy(ids, wide + begin, (size_t)count * sizeof(*ids));
    for (int64_t i = 0; c->width == 2 && i < count; i++)
        ids[i] = narrow[begin + i];
    if (labels)
        memcpy(labels, c->labels ? c->labels + begin : ids, (size_t)count * sizeof(*labels));
    return OK;
}

/* A variable of the environment that names a directory by its whole path. */
static const char *environment_path(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] == '/' ? value : NULL;
}

static bool can_write(const char *directory)
{
    bool can = directory_create(directory) == OK && access(directory, W_OK | X_OK) == 0;
    error_clear();
    return can;
}

char *token_cache_directory(const char *cache_dir, const char *output_dir)
{
    const char *xdg = environment_path("XDG_CACHE_HOME"), *home = environment_path("HOME");
    char *directory = NULL;
    if (cache_dir)
        return path_join(cache_dir, "tokens");
    if (xdg)
        directory = path_join(xdg, "plait/tokens");
    else if (home)
        directory = path_join(home, ".cache/plait/tokens");
    if (directory && (!output_dir || can_write(directory)))
        return directory;
    mem_free(directory);
    return path_join(output_dir ? output_dir : ".", "tokens");
}
