#include "ckpt/hf_tied.h"

#include <string.h>

#include "base/err.h"

/* In every `parts`th block of rows, from number `part` on. */
static bool same_part(const struct weights_tensor *a, const struct weights_tensor *b, int part, int parts,
                      int *status)
{
    enum { ROWS = 1 << 16 };
    float *x, *y;
    struct box box;
    int64_t rows, step;
    bool same;

    if (weights_same_place(a, b))
        return true;
    if (a->info->ndim < 1 || weights_check_shape(a, b->info->ndim, b->info->shape) != OK) {
        error_clear();
        return false;
    }
    box_whole(&box, a->info->ndim, a->info->shape);
    rows = box.size[0];
    step = rows > 0 ? ROWS * rows / ((int64_t)a->info->count + 1) + 1 : 1;
    x = mem_alloc_array((size_t)(step * (box_count(&box) / (rows ? rows : 1))) + 1, sizeof(float));
    y = mem_alloc_array((size_t)(step * (box_count(&box) / (rows ? rows : 1))) + 1, sizeof(float));
    same = true;
    for (int64_t at = part * step; at < rows && same && *status == OK; at += parts * step) {
        box.start[0] = at;
        box.size[0] = rows - at < step ? rows - at : step;
        *status = weights_read(a, &box, x, NULL);
        if (*status == OK)
            *status = weights_read(b, &box, y, NULL);
        same = memcmp(x, y, (size_t)box_count(&box) * sizeof(float)) == 0;
    }
    mem_free(x);
    mem_free(y);
    return same;
}

static bool same_values(const struct weights_tensor *a, const struct weights_tensor *b, int *status)
{
    return same_part(a, b, 0, 1, status);
}

static const struct weights_tensor *source_of_tied(const struct model *m, const char *param)
{
    const struct weights_tensor *source = model_source(m, param);
    struct str longer;

    if (source)
        return source;
    str_init(&longer);
    str_appendf(&longer, "%s%s", m->config.def->prefix, param);
    source = model_source(m, longer.data);
    str_release(&longer);
    return source;
}

static bool has_language_head(const struct config *c)
{
    return c->head == HEAD_CAUSAL || c->head == HEAD_MASKED || c->head == HEAD_CONDITIONAL;
}

/* A second copy of a parameter, which transformers would drop when it ties them. */
int model_check_tied(struct model *m)
{
    for (const struct tied_tensor *t = m->config.def->tied; t && t->name; t++) {
        const struct weights_tensor *source = source_of_tied(m, t->param);
        struct weights_tensor *copy;
        int status = OK;
        if (!source || model_source(m, t->name) || (!t->trunk && !has_language_head(&m->config)))
            continue; /* a parameter of its own, or a head that is not used */
        copy = weights_find(&m->weights, t->name, t->trunk ? m->config.def->prefix : NULL);
        if (!copy || copy == source || same_part(copy, source, m->part, m->parts, &status))
            continue;
        TRY(status);
        fail(ERR_DATA, "%s: tensor \"%s\" differs from \"%s\", but %s ties them (tie_word_embeddings)",
             m->weights.path, copy->name, source->name, m->config.name);
        error_hint("for a head of its own: --config_overrides tie_word_embeddings=false");
        return ERR_DATA;
    }
    return OK;
}

/* Where the weights tell whether the head is a copy of the token table: it has no place of its own there, or
 * one with other values. */
int model_settle_tie(struct model *m)
{
    const struct tied_tensor *t = m->config.def->tied;
    const char *said = config_get(&m->config, "tie_word_embeddings");
    bool tied = !said || strcmp(said, "false") != 0;
    struct weights_tensor *head, *table;
    int status = OK;

    if (!m->config.def->settle_tie || m->config.head != HEAD_CONDITIONAL)
        return OK;
    head = weights_find(&m->weights, t->name, m->config.def->prefix);
    table = weights_find(&m->weights, t->param, m->config.def->prefix);
    if (!head)
        return tied ? OK : m->config.def->settle_tie(&m->config, false);
    if (!tied || !table || same_values(head, table, &status))
        return status;
    TRY(status);
    return m->config.def->settle_tie(&m->config, true);
}
