#include "plan/partition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/name_pattern.h"

enum { NOT_SAID = -1, ANY = -2 };

struct rule {
    char *text;
    struct name_pattern pattern;
    int ndim;                /* NOT_SAID; ANY: no dim is dealt out, whatever there are */
    int dim[PLACEMENT_AXES]; /* which dim of the file an axis deals out; -1: none */
};

struct partition_rules {
    char *path;
    struct rule *list;
    size_t count, capacity;
};

/* ---- reading ---- */

static enum axis read_axis(struct json_reader *r)
{
    struct json_string word;

    if (json_string(r, &word))
        for (int a = 0; a < PLACEMENT_AXES; a++)
            if (word.length == 2 && memcmp(word.data, axis_name((enum axis)a), 2) == 0)
                return (enum axis)a;
    json_fail(r, "no axis (expected null, \"tp\" or \"dp\")");
    return AXIS_TP;
}

static void read_placement(struct json_reader *r, struct rule *rule)
{
    rule->ndim = ANY;
    if (json_peek(r) == JSON_NULL) {
        json_null(r);
        return;
    }
    rule->ndim = 0;
    if (!json_array_begin(r))
        return;
    for (; json_next_element(r); rule->ndim++) {
        enum axis axis;
        if (rule->ndim == MAX_DIMS)
            json_fail(r, "more than %d dims", MAX_DIMS);
        if (json_peek(r) == JSON_NULL) {
            json_null(r);
            continue;
        }
        axis = read_axis(r);
        if (rule->dim[axis] >= 0)
            json_fail(r, "%s deals out two dims", axis_name(axis));
        rule->dim[axis] = rule->ndim;
    }
}

static void read_pattern(struct json_reader *r, struct rule *rule)
{
    struct json_string text;
    char why[NAME_PATTERN_WHY];

    if (!json_string(r, &text))
        return;
    if (memchr(text.data, 0, text.length)) {
        json_fail(r, "holds a zero byte");
        return;
    }
    rule->text = mem_strndup(text.data, text.length);
    if (!name_pattern_init(&rule->pattern, rule->text, why))
        json_fail(r, "%s", why);
}

static void read_rule(struct json_reader *r, struct partition_rules *rules)
{
    struct rule *rule;
    struct json_string key;

    rules->list = mem_grow(rules->list, rules->count, &rules->capacity, sizeof(rules->list[0]));
    rule = &rules->list[rules->count++];
    *rule = (struct rule){ .ndim = NOT_SAID, .dim = { -1, -1 } };
    if (!json_object_begin(r))
        return;
    while (json_next_key(r, &key)) {
        if (json_key_is(r, "pattern"))
            read_pattern(r, rule);
        else if (json_key_is(r, "placement"))
            read_placement(r, rule);
        else
            json_fail(r, "unknown key (expected pattern or placement)");
    }
    if (json_status(r) == OK && (!rule->text || rule->ndim == NOT_SAID))
        json_fail(r, "%s is missing", rule->text ? "placement" : "pattern");
}

int partition_rules_parse(const char *name, const char *bytes, size_t length, struct partition_rules **out)
{
    struct partition_rules *rules = mem_alloc(sizeof(*rules));
    struct json_reader r;
    int status;

    rules->path = mem_strdup(name);
    json_reader_init(&r, name, bytes, length);
    r.allow_comments = true;
    r.meaning_status = ERR_CONFIG;
    if (json_array_begin(&r))
        while (json_next_element(&r))
            read_rule(&r, rules);
    status = json_end(&r);
    json_reader_release(&r);
    if (status == OK)
        *out = rules;
    else
        partition_rules_free(rules);
    return status;
}

int partition_rules_load(const char *path, struct partition_rules **out)
{
    struct str text;
    int status;

    str_init(&text);
    status = file_read(path, 1 << 24, &text);
    if (status == OK)
        status = partition_rules_parse(path, text.data, text.length, out);
    str_release(&text);
    return status;
}

void partition_rules_free(struct partition_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++) {
        mem_free(r->list[i].text);
        name_pattern_release(&r->list[i].pattern);
    }
    mem_free(r->list);
    mem_free(r->path);
    mem_free(r);
}

/* ---- what they say ---- */

static const struct rule *rule_of(const struct partition_rules *r, const struct tensor *param)
{
    for (size_t i = 0; i < r->count; i++)
        if (name_pattern_matches(&r->list[i].pattern, param->name))
            return &r->list[i];
    return NULL;
}

/* Whole units are dealt out: of a dim of the file that is several logical ones, the last but one, as the
 * last is what a unit is wide. */
static int logical_dim(const struct tensor *param, int file_dim)
{
    int d = 0, first = 0;

    for (int f = 0; f <= file_dim; f++) {
        int64_t product = 1;
        first = d;
        while (d < param->ndim && product < param->param->file_dims[f])
            product *= param->dims[d++].size;
    }
    return d - first >= 2 ? d - 2 : first < param->ndim ? first : param->ndim - 1;
}

void partition_rules_tell_idle(const struct partition_rules *r, const struct mesh *mesh)
{
    for (int a = 0; a < PLACEMENT_AXES; a++) {
        bool named = false;
        for (size_t i = 0; i < r->count; i++)
            named |= r->list[i].dim[a] >= 0;
        if (named && mesh_size(mesh, (enum axis)a) == 1)
            note("--partition_rules: \"%s\" deals nothing out, as that axis has one rank",
                 axis_name((enum axis)a));
    }
}

bool partition_rules_find(const struct partition_rules *r, const struct tensor *t, enum axis axis,
                          struct placement *out)
{
    const struct rule *rule = r && t->kind == TENSOR_PARAM ? rule_of(r, t) : NULL;

    if (!rule)
        return false;
    *out = (struct placement){ .kind = REPLICATE };
    if (rule->dim[axis] >= 0)
        *out = (struct placement){ .kind = SHARD, .dim = logical_dim(t, rule->dim[axis]) };
    return true;
}

int partition_rules_check(const struct partition_rules *r, const struct graph *g)
{
    for (size_t k = 0; r && k < r->count; k++) {
        const struct rule *rule = &r->list[k];
        const char *some = NULL;
        bool matches = false;
        for (size_t i = 0; i < g->tensor_count; i++) {
            const struct tensor *t = g->tensors[i];
            if (t->kind != TENSOR_PARAM)
                continue;
            some = t->name;
            if (!name_pattern_matches(&rule->pattern, t->name))
                continue;
            matches = true;
            if (rule->ndim != ANY && rule->ndim != t->param->file_ndim && rule_of(r, t) == rule)
                return fail(ERR_CONFIG,
                            "%s: $[%zu].placement: not as many dims as %s has (found %d, expected %d)",
                            r->path, k, t->name, rule->ndim, t->param->file_ndim);
        }
        if (!matches)
            return fail(ERR_CONFIG,
                        "%s: $[%zu].pattern: no parameter's name has a match of \"%.80s\" (one is \"%s\")",
                        r->path, k, rule->text, some ? some : "");
    }
    return OK;
}
