/* Which class of its architecture a config is of: the head, its labels and what its loss is. */
#include <string.h>

#include "base/err.h"
#include "models/config_internal.h"

enum { DEFAULT_LABELS = 2, MAX_LABELS = 1 << 20 };

/* ---- the class ---- */

static const struct architecture *find_class(const struct model_def *def, struct json_string name)
{
    for (const struct architecture *a = def->architectures; a->name; a++)
        if (strlen(a->name) == name.length && memcmp(a->name, name.data, name.length) == 0)
            return a;
    return NULL;
}

/* first: the name that the config has. */
static int fail_no_class(const struct config *c, const struct str *first)
{
    struct str known;

    str_init(&known);
    for (const struct architecture *a = c->def->architectures; a->name; a++)
        str_appendf(&known, "%s\"%s\"", a == c->def->architectures ? "" : ", ", a->name);
    fail(ERR_CONFIG, "%s: $.architectures: this class of %s is not supported (found %s, expected one of %s)",
         c->name, c->def->name, first->data, known.data);
    str_release(&known);
    return ERR_CONFIG;
}

static void append_quoted(struct str *out, struct json_string name)
{
    str_append(out, "\"");
    str_append_escaped(out, name.data, name.length, 80);
    str_append(out, "\"");
}

/* The first class of the list that is known here, NULL if none is; and the first of all by name. */
static int read_class_list(struct config *c, const char *json, const struct architecture **found,
                           struct str *first)
{
    struct json_reader r;
    struct json_string name;
    int status;

    json_reader_init(&r, "architectures", json, strlen(json));
    if (json_array_begin(&r))
        while (json_next_element(&r)) {
            if (!json_string(&r, &name))
                break;
            if (first->length == 0)
                append_quoted(first, name);
            if (!*found)
                *found = find_class(c->def, name);
        }
    status = json_end(&r);
    json_reader_release(&r);
    if (status == OK)
        return OK;
    error_clear();
    return config_wrong(c, "architectures", json, "a list of names of classes");
}

static int read_class(struct config *c)
{
    const char *json = config_get(c, "architectures");
    const struct architecture *found = NULL;
    struct str first;
    int status = OK;

    str_init(&first);
    if (!config_is_null(json))
        status = read_class_list(c, json, &found, &first);
    if (status == OK && !found && first.length > 0)
        status = fail_no_class(c, &first);
    str_release(&first);
    TRY(status);
    if (!found)
        found = c->def->architectures;
    c->head = found->head;
    for (found = c->def->architectures; found->head != c->head;)
        found++; /* a class that is taken for a part of it is called by that part */
    c->architecture = found->name;
    return OK;
}

int config_set_head(struct config *c, enum head_kind head)
{
    struct str json;
    int status;

    for (const struct architecture *a = c->def->architectures; a->name; a++) {
        if (a->head != head)
            continue;
        str_init(&json);
        str_appendf(&json, "[\"%s\"]", a->name);
        status = config_set(c, "architectures", json.data);
        str_release(&json);
        return status;
    }
    return fail(ERR_CONFIG, "%s: %s has no class with such a head", c->name, c->def->name);
}

/* ---- labels ---- */

/* How many names id2label has. */
static int count_names(const struct config *c, const char *json, int64_t *count)
{
    struct json_reader r;
    struct json_string key;
    int status;

    *count = 0;
    json_reader_init(&r, "id2label", json, strlen(json));
    if (json_object_begin(&r))
        for (; json_next_key(&r, &key); json_skip(&r))
            ++*count;
    status = json_end(&r);
    json_reader_release(&r);
    if (status == OK && *count > 0 && *count <= MAX_LABELS)
        return OK;
    error_clear();
    return config_wrong(c, "id2label", json, "an object with a name for each label");
}

static int read_number(const struct config *c, const char *json, int64_t *number)
{
    struct json_reader r;
    int status;

    json_reader_init(&r, "num_labels", json, strlen(json));
    *number = json_int(&r, 1, MAX_LABELS);
    status = json_end(&r);
    json_reader_release(&r);
    if (status == OK)
        return OK;
    error_clear();
    return config_wrong(c, "num_labels", json, "an integer from 1 to 1048576");
}

static int read_labels(struct config *c)
{
    const char *names = config_get(c, "id2label"), *number = config_get(c, "num_labels");
    int64_t named = 0, said = 0;

    if (!config_is_null(names))
        TRY(count_names(c, names, &named));
    if (!config_is_null(number))
        TRY(read_number(c, number, &said));
    if (named && said && named != said)
        return fail(ERR_CONFIG, "%s: $.num_labels %lld differs from the number of names in $.id2label, %lld",
                    c->name, (long long)said, (long long)named);
    c->labels = named ? named : said ? said : DEFAULT_LABELS;
    return OK;
}

static int read_problem(struct config *c)
{
    static const char *const names[] = { [PROBLEM_REGRESSION] = "regression",
                                         [PROBLEM_SINGLE_LABEL] = "single_label_classification",
                                         [PROBLEM_MULTI_LABEL] = "multi_label_classification" };
    const char *json = config_get(c, "problem_type");

    c->problem = PROBLEM_UNSAID;
    if (config_is_null(json))
        return OK;
    for (int p = PROBLEM_REGRESSION; p <= PROBLEM_MULTI_LABEL; p++)
        if (config_is_string(json, names[p]))
            c->problem = (enum problem)p;
    if (c->problem != PROBLEM_UNSAID)
        return OK;
    return config_wrong(c, "problem_type", json,
                        "\"regression\", \"single_label_classification\", "
                        "\"multi_label_classification\" or null");
}

int config_read_head(struct config *c)
{
    TRY(read_class(c));
    c->problem = PROBLEM_UNSAID;
    c->labels = DEFAULT_LABELS;
    if (c->head != HEAD_CLASSIFICATION)
        return OK;
    TRY(read_labels(c));
    return read_problem(c);
}

bool config_is_causal(const struct config *c)
{
    return c->def->causal || c->sizes.causal;
}

bool config_has_encoder(const struct config *c)
{
    return c->def->encoder && c->head != HEAD_ENCODER;
}

void config_build(const struct config *c, struct builder *b, struct model_inputs *in,
                  struct model_outputs *out)
{
    in->head = c->head;
    in->labels = c->labels;
    in->no_pooler = c->no_pooler;
    c->def->build(b, c->values, in, out);
    out->head.config = c->values;
}
