#include "train/class_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"

/* ---- the config's ---- */

/* "id2label": {"0": "NAME", ...} as name -> class. */
static int read_names(const struct config *c, struct map *names)
{
    const char *json = config_get(c, "id2label");
    struct json_reader r;
    struct json_string key, name;
    int status;

    if (!json || strcmp(json, "null") == 0)
        return OK;
    json_reader_init(&r, "id2label", json, strlen(json));
    if (json_object_begin(&r))
        while (json_next_key(&r, &key)) {
            char text[24] = "";
            snprintf(text, sizeof(text), "%.*s", (int)(key.length < 20 ? key.length : 20), key.data);
            if (json_string(&r, &name))
                map_add(names, name.data, name.length, strtoll(text, NULL, 10));
        }
    status = json_end(&r);
    json_reader_release(&r);
    for (size_t i = 0; i < names->count && status == OK; i++)
        if (names->entries[i].value < 0 || names->entries[i].value >= c->labels)
            status = fail(ERR_CONFIG, "%s: $.id2label has a key that is no class (expected 0 to %lld)",
                          c->name, (long long)c->labels - 1);
    return status;
}

static bool all_in(const struct map *some, const struct map *all)
{
    for (size_t i = 0; i < some->count; i++)
        if (!map_find(all, some->entries[i].key, some->entries[i].length))
            return false;
    return true;
}

/* "0", "1", ...: names that say the class itself. */
static bool is_class(const struct map_entry *e, int64_t limit)
{
    char *end;
    long long class = strtoll(e->key, &end, 10);

    return e->length > 0 && *end == '\0' && class >= 0 && class < limit && e->key[0] != '+' &&
           e->key[0] != ' ';
}

static bool are_classes(const struct map *names, int64_t limit)
{
    for (size_t i = 0; i < names->count; i++)
        if (!is_class(&names->entries[i], limit))
            return false;
    return true;
}

static int fail_unknown(const struct label_set *l, const struct config *c, const struct map *names)
{
    for (size_t i = 0; i < l->classes.count; i++) {
        const struct map_entry *e = &l->classes.entries[i];
        if (map_find(names, e->key, e->length))
            continue;
        return fail(ERR_DATA, "label \"%.60s\" of the data is no class of the model (%s has %lld)", e->key,
                    c->name, (long long)c->labels);
    }
    return OK;
}

/* num_labels stands alone: so many classes were asked for. */
static bool is_said(const struct config *c)
{
    const char *number = config_get(c, "num_labels"), *names = config_get(c, "id2label");

    return number && strcmp(number, "null") != 0 && (!names || strcmp(names, "null") == 0);
}

/* The classes that the model has; taken: they are those of the data. */
static int take_names(struct label_set *l, const struct config *c, bool trained, bool *taken)
{
    struct map names;
    bool numbers = are_classes(&l->classes, c->labels);
    int status;

    map_init(&names);
    status = read_names(c, &names);
    if (status == OK && names.count > 0 && all_in(&l->classes, &names)) {
        map_release(&l->classes);
        l->classes = names;
        l->count = c->labels;
        *taken = true;
        return OK;
    }
    if (status == OK && trained && !numbers)
        status = fail_unknown(l, c, &names);
    else if (status == OK && is_said(c) && !numbers && l->count != c->labels)
        status = fail(ERR_DATA, "%s: $.num_labels is %lld, and the data has %lld classes", c->name,
                      (long long)c->labels, (long long)l->count);
    else if (status == OK && numbers && (trained || is_said(c))) {
        *taken = true;
        for (size_t i = 0; i < l->classes.count; i++)
            l->classes.entries[i].value = strtoll(l->classes.entries[i].key, NULL, 10);
        l->count = c->labels;
    }
    map_release(&names);
    return status;
}

/* ---- the data's ---- */

static int set_string(struct config *c, const char *key, const char *value)
{
    char json[64];

    snprintf(json, sizeof(json), "\"%s\"", value);
    return config_set(c, key, json);
}

static void write_names(const struct label_set *l, struct str *by_id, struct str *by_name)
{
    struct json_writer id, name;
    char text[32];

    json_writer_init(&id, by_id, 0);
    json_writer_init(&name, by_name, 0);
    json_write_object_begin(&id);
    json_write_object_begin(&name);
    for (int64_t i = 0; i < l->count; i++) {
        const struct map_entry *e = l->kind == LABEL_NUMBERS ? NULL : &l->classes.entries[i];
        const char *key = e ? e->key : text;
        snprintf(text, sizeof(text), "%lld", (long long)i);
        json_write_key(&id, text);
        if (!e)
            snprintf(text, sizeof(text), "LABEL_%lld", (long long)i);
        json_write_string(&id, key);
        json_write_key(&name, key);
        json_write_int(&name, i);
    }
    json_write_object_end(&id);
    json_write_object_end(&name);
}

/* All keys at once where they contradict each other on the way: num_labels goes first. */
static int give_names(const struct label_set *l, struct config *c)
{
    struct str by_id, by_name;
    int status = OK;

    str_init(&by_id);
    str_init(&by_name);
    write_names(l, &by_id, &by_name);
    if (config_get(c, "num_labels"))
        status = config_set(c, "num_labels", "null");
    if (status == OK)
        status = config_set(c, "id2label", by_id.data);
    if (status == OK)
        status = config_set(c, "label2id", by_name.data);
    str_release(&by_id);
    str_release(&by_name);
    return status;
}

/* ---- both ---- */

static int settle_numbers(struct label_set *l, struct config *c, bool trained)
{
    l->kind = LABEL_NUMBERS;
    if (trained && l->count != c->labels)
        return fail(ERR_DATA, "the data has %lld numbers as labels, the model has %lld", (long long)l->count,
                    (long long)c->labels);
    if (!trained || c->labels != l->count)
        TRY(give_names(l, c));
    return set_string(c, "problem_type", "regression");
}

int class_names_settle(struct label_set *l, struct config *c, bool trained)
{
    bool regression =
        c->problem == PROBLEM_REGRESSION || (trained && c->problem == PROBLEM_UNSAID && c->labels == 1);
    bool taken = false;

    if (regression && l->kind == LABEL_CLASS) { /* whole numbers */
        if (!are_classes(&l->classes, INT64_MAX))
            return fail(ERR_DATA, "labels are no numbers, but %s says a regression", c->name);
        l->count = 1;
    }
    if (regression || l->kind == LABEL_NUMBERS)
        return settle_numbers(l, c, trained);
    TRY(take_names(l, c, trained, &taken));
    if (!taken)
        TRY(give_names(l, c));
    if (l->count == 1)
        warn("all labels are the same, so there is nothing to learn (found \"%.60s\")",
             l->classes.entries[0].key);
    return set_string(c, "problem_type",
                      l->kind == LABEL_CLASSES ? "multi_label_classification"
                                               : "single_label_classification");
}
