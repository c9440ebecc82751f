#include "ckpt/hub.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "ckpt/regular.h"

/* Models published before organisations existed, and where they are now. */
static const struct {
    const char *old_name, *name;
} moved[] = {
    { "gpt2", "openai-community/gpt2" },
    { "gpt2-medium", "openai-community/gpt2-medium" },
    { "gpt2-large", "openai-community/gpt2-large" },
    { "gpt2-xl", "openai-community/gpt2-xl" },
    { "openai-gpt", "openai-community/openai-gpt" },
    { "roberta-base", "FacebookAI/roberta-base" },
    { "roberta-large", "FacebookAI/roberta-large" },
    { "xlm-roberta-base", "FacebookAI/xlm-roberta-base" },
    { "xlm-roberta-large", "FacebookAI/xlm-roberta-large" },
    { "bert-base-uncased", "google-bert/bert-base-uncased" },
    { "bert-base-cased", "google-bert/bert-base-cased" },
    { "bert-large-uncased", "google-bert/bert-large-uncased" },
    { "bert-large-cased", "google-bert/bert-large-cased" },
    { "bert-base-multilingual-cased", "google-bert/bert-base-multilingual-cased" },
    { "bert-base-multilingual-uncased", "google-bert/bert-base-multilingual-uncased" },
    { "bert-base-chinese", "google-bert/bert-base-chinese" },
    { "t5-small", "google-t5/t5-small" },
    { "t5-base", "google-t5/t5-base" },
    { "t5-large", "google-t5/t5-large" },
    { "t5-3b", "google-t5/t5-3b" },
    { "t5-11b", "google-t5/t5-11b" },
    { "distilgpt2", "distilbert/distilgpt2" },
    { "distilroberta-base", "distilbert/distilroberta-base" },
    { "distilbert-base-uncased", "distilbert/distilbert-base-uncased" },
};

static const char *other_name(const char *name)
{
    for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
        if (strcmp(name, moved[i].old_name) == 0)
            return moved[i].name;
        if (strcmp(name, moved[i].name) == 0)
            return moved[i].old_name;
    }
    return NULL;
}

/* NAME or ORG/NAME of letters, digits, '-', '_' and '.', with no part that begins with '.' or '-'. */
static bool is_hub_name(const char *name)
{
    int slashes = 0;
    for (const char *p = name; *p != '\0'; p++) {
        bool first = p == name || p[-1] == '/';
        bool plain =
            (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
        slashes += *p == '/';
        if (!plain && (first || (*p != '-' && *p != '.' && *p != '/')))
            return false;
    }
    return name[0] != '\0' && slashes <= 1 && name[strlen(name) - 1] != '/' && strstr(name, "..") == NULL;
}

/* Branches may have slashes ("refs/pr/1"), but a revision never leaves its folder. */
static bool is_revision(const char *revision)
{
    return revision[0] != '\0' && revision[0] != '/' && strstr(revision, "..") == NULL;
}

/* ---- one cache ---- */

static char *model_folder(const char *cache, const char *name)
{
    struct str s;
    const char *slash = strchr(name, '/');
    str_init(&s);
    str_appendf(&s, "%s/models--", cache);
    if (slash != NULL) {
        str_append_bytes(&s, name, (size_t)(slash - name));
        str_append(&s, "--");
        name = slash + 1;
    }
    str_append(&s, name);
    return str_detach(&s);
}

/* What the file refs/REVISION holds, or the revision itself when there is no such file: it may be a hash. */
static int read_hash(const char *folder, const char *revision, struct str *hash)
{
    struct str path;
    int status = OK;
    str_init(&path);
    str_appendf(&path, "%s/refs/%s", folder, revision);
    if (!file_exists(path.data)) {
        str_append(hash, revision);
    } else {
        status = regular_read(path.data, hash);
        while (hash->length > 0 && (unsigned char)hash->data[hash->length - 1] <= ' ')
            str_cut(hash, hash->length - 1);
    }
    if (status == OK && !path_is_plain_name(hash->data, hash->length))
        str_clear(hash); /* no snapshot has such a name */
    str_release(&path);
    return status;
}

static int find_snapshot(const char *cache, const char *name, const char *revision, char **directory)
{
    struct str hash, path;
    char *folder = model_folder(cache, name);
    int status = OK;
    str_init(&hash);
    str_init(&path);
    if (file_is_directory(folder)) {
        status = read_hash(folder, revision, &hash);
        str_appendf(&path, "%s/snapshots/%s", folder, hash.data);
        if (status == OK && hash.length > 0 && file_is_directory(path.data))
            *directory = str_detach(&path);
    }
    str_release(&path);
    str_release(&hash);
    mem_free(folder);
    return status;
}

/* ---- all caches ---- */

enum { MAX_CACHES = 4 };

static void add_cache(char **caches, size_t *count, const char *base, const char *below)
{
    if (base == NULL || base[0] == '\0')
        return;
    char *path = below[0] != '\0' ? path_join(base, below) : mem_strdup(base);
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(caches[i], path) == 0) {
            mem_free(path);
            return;
        }
    }
    caches[(*count)++] = path;
}

static size_t list_caches(const struct hub_options *o, char **caches)
{
    size_t count = 0;
    add_cache(caches, &count, o->cache_dir, "");
    add_cache(caches, &count, getenv("HF_HUB_CACHE"), "");
    add_cache(caches, &count, getenv("HF_HOME"), "hub");
    add_cache(caches, &count, getenv("HOME"), ".cache/huggingface/hub");
    return count;
}

static int find_in_caches(const char *name, const struct hub_options *o, char **directory, struct str *places)
{
    char *caches[MAX_CACHES];
    const char *names[2] = { name, other_name(name) };
    size_t count = list_caches(o, caches);
    int status = OK;
    for (size_t i = 0; i < count && status == OK && *directory == NULL; i++) {
        for (size_t k = 0; k < 2 && names[k] != NULL && status == OK && *directory == NULL; k++)
            status =
                find_snapshot(caches[i], names[k], o->revision != NULL ? o->revision : "main", directory);
        if (places != NULL)
            str_appendf(places, ", %s", caches[i]);
    }
    for (size_t i = 0; i < count; i++)
        mem_free(caches[i]);
    return status;
}

int hub_find(const char *name, const struct hub_options *o, char **directory, struct str *places)
{
    char *found = NULL;
    if (o->revision != NULL && !is_revision(o->revision))
        return fail(ERR_USAGE, "revision \"%s\" is no branch, tag or hash", o->revision);
    if (file_is_directory(name))
        found = mem_strdup(name);
    else if (places != NULL)
        str_appendf(places, "directory %s", name);
    if (found == NULL && is_hub_name(name))
        TRY(find_in_caches(name, o, &found, places));
    *directory = found;
    return OK;
}

static int fail_not_found(const char *name, const struct hub_options *o, const struct str *places)
{
    fail(ERR_OPEN, "model \"%s\" not found (looked in %s%s%s)", name, places->data,
         o->revision != NULL ? "; revision " : "", o->revision != NULL ? o->revision : "");
    if (is_hub_name(name))
        error_hint("nothing is downloaded: \"hf download\" of huggingface_hub fills the cache");
    return ERR_OPEN;
}

int hub_resolve(const char *name, const struct hub_options *o, char **directory)
{
    struct str places, shown;
    char *found = NULL;
    str_init(&places);
    str_init(&shown);
    str_append_escaped(&shown, name, strlen(name), 200);
    int status = hub_find(name, o, &found, &places);
    if (status == OK && found == NULL)
        status = fail_not_found(shown.data, o, &places);
    if (status == OK)
        *directory = found;
    str_release(&places);
    str_release(&shown);
    return status;
}
