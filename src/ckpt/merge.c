#include "ckpt/merge.h"

#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/checkpoint_verify.h"
#include "ckpt/hf.h"
#include "ckpt/optimizer_state.h"
#include "ckpt/trainer_state.h"

struct merging {
    const struct merge_options *o;
    struct model model;
    struct params params;
    struct deal *deal;        /* NULL: whole */
    struct manifest manifest; /* of none: all zero */
    bool has_manifest, state;
};

static int read_source(const struct weights_param *p, int64_t first, int64_t count, float *out)
{
    return weights_read_range(p->context, first, count, out);
}

/* ---- weights, of one base ---- */

struct base {
    const char *name, *dtype;
    enum manifest_kind kind;
    struct weights_param *params;
    size_t count;
};

static int write_base(struct save *s, const struct merging *m, const struct base *b)
{
    const struct weights_save_options whole = { .base = b->name,
                                                .dtype = b->dtype,
                                                .max_shard_bytes = b->kind == MANIFEST_STATE
                                                                       ? UINT64_MAX
                                                                       : m->o->max_shard_bytes,
                                                .kind = b->kind };
    const struct deal_save_options pieces = { .base = b->name, .dtype = b->dtype, .kind = b->kind };

    if (m->deal)
        return deal_save(m->deal, s, b->params, b->count, &pieces);
    return weights_save(s, b->params, b->count, &whole);
}

static struct weights_param param_of(const char *name, const struct weights_tensor *t)
{
    return (struct weights_param){ .name = name,
                                   .ndim = t->info->ndim,
                                   .shape = t->info->shape,
                                   .read = read_source,
                                   .context = (void *)(uintptr_t)t };
}

static int write_model(struct save *s, const struct merging *m)
{
    struct base b = { "model", model_saved_dtype(&m->model), MANIFEST_MODEL, NULL, m->params.count };
    int status;

    b.params = mem_alloc_array(b.count + 1, sizeof(b.params[0]));
    for (size_t i = 0; i < b.count; i++)
        b.params[i] = param_of(m->params.list[i].name, model_source(&m->model, m->params.list[i].name));
    status = write_base(s, m, &b);
    mem_free(b.params);
    return status;
}

static int write_state_of(struct save *s, const struct merging *m, const char *base)
{
    struct base b = { base, "F32", MANIFEST_STATE, NULL, 0 };
    struct weights w;
    int status;

    if (!weights_base_found(m->model.directory, base))
        return OK;
    TRY(weights_open_base(&w, m->model.directory, base));
    b.count = w.count;
    b.params = mem_alloc_array(b.count + 1, sizeof(b.params[0]));
    for (size_t i = 0; i < b.count; i++)
        b.params[i] = param_of(w.tensors[i].name, &w.tensors[i]);
    status = write_base(s, m, &b);
    mem_free(b.params);
    weights_close(&w);
    return status;
}

/* ---- all of it ---- */

static int copy(struct save *s, const struct merging *m, const char *name, enum manifest_kind kind)
{
    char *path = path_join(m->model.directory, name);
    int status = file_exists(path) ? save_file_copy(s, name, kind, path) : OK;

    mem_free(path);
    return status;
}

static int write_all(struct save *s, const struct merging *m)
{
    TRY(copy(s, m, "config.json", MANIFEST_MODEL));
    TRY(copy(s, m, "generation_config.json", MANIFEST_MODEL));
    TRY(model_copy_tokenizer(s, m->model.directory));
    TRY(write_model(s, m));
    if (!m->state)
        return OK;
    for (size_t i = 0; i < m->manifest.note_count; i++)
        save_note(s, m->manifest.notes[i].key, m->manifest.notes[i].value);
    TRY(write_state_of(s, m, MASTER_BASE));
    TRY(write_state_of(s, m, OPTIMIZER_STATE_BASE));
    return copy(s, m, TRAINER_STATE_NAME, MANIFEST_STATE);
}

static int write_directory(const struct merging *m, const char *directory)
{
    const struct save_options o = { .directory = directory,
                                    .name = "model",
                                    .run = m->manifest.run,
                                    .step = m->manifest.step,
                                    .manifest = m->state || m->deal,
                                    .bytes = (uint64_t)m->params.total * (m->state ? 14 : 4) };
    struct save *s;
    int status;

    TRY(save_begin(&s, &o));
    status = write_all(s, m);
    if (status == OK)
        return save_install(s);
    save_abort(s);
    return status;
}

/* What comes out has a manifest of its own, which would take damage for good: every byte is checked first. */
static int read_manifest(struct merging *m)
{
    char *path = path_join(m->model.directory, MANIFEST_NAME);
    int status = OK;

    m->has_manifest = file_exists(path); /* a model directory needs none */
    mem_free(path);
    if (m->has_manifest)
        status = checkpoint_verify(m->model.directory, CHECKPOINT_CHECKSUMS, &m->manifest);
    m->has_manifest = m->has_manifest && status == OK;
    m->state = m->o->state && m->has_manifest && manifest_find(&m->manifest, TRAINER_STATE_NAME) != NULL;
    return status;
}

int merge_checkpoint(const char *source, const char *directory, const struct merge_options *o,
                     struct merge_result *result)
{
    struct merging m = { .o = o };
    int status;

    TRY(model_open(&m.model, &(struct model_options){ .name = source }));
    status = read_manifest(&m);
    if (status == OK)
        status = params_init(&m.params, &m.model.config);
    if (status == OK && o->mesh)
        status = deal_create(&m.model.config, o->mesh, NULL, &m.deal);
    if (status == OK)
        status = write_directory(&m, directory);
    if (status == OK && result)
        *result = (struct merge_result){ m.model.weights.count, m.model.weights.file_count, m.state };
    deal_free(m.deal);
    params_release(&m.params);
    if (m.has_manifest)
        manifest_release(&m.manifest);
    model_close(&m.model);
    return status;
}
