#include "ckpt/merge.h"

#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/checkpoint_verify.h"
#include "ckpt/hf.h"
#include "ckpt/optimizer_state.h"
#include "ckpt/trainer_state.h"

/* The weights of one base, as they are to be written. */
struct source {
    struct weights weights;
    struct weights_param *params;
    const char *dtype;
};

static int read_source(const struct weights_param *p, int64_t first, int64_t count, float *out)
{
    return weights_read_range(p->context, first, count, out);
}

static const char *dtype_of(const struct weights *w)
{
    for (size_t i = 0; i < w->count; i++) {
        const char *name = weights_save_dtype(w->tensors[i].info->element->name);
        if (name)
            return name;
    }
    return "F32";
}

static void list_params(struct source *s)
{
    struct weights *w = &s->weights;

    s->dtype = dtype_of(w);
    s->params = mem_alloc_array(w->count + 1, sizeof(s->params[0]));
    for (size_t i = 0; i < w->count; i++)
        s->params[i] = (struct weights_param){ .name = w->tensors[i].name,
                                               .ndim = w->tensors[i].info->ndim,
                                               .shape = w->tensors[i].info->shape,
                                               .read = read_source,
                                               .context = &w->tensors[i] };
}

static void source_close(struct source *s)
{
    weights_close(&s->weights);
    mem_free(s->params);
}

struct merging {
    const char *source;
    const struct merge_options *o;
    struct source model;
    struct manifest manifest; /* of none: all zero */
    bool has_manifest, state;
};

/* ---- beside the weights ---- */

static int copy(struct save *s, const char *from, const char *name, enum manifest_kind kind)
{
    char *path = path_join(from, name);
    int status = file_exists(path) ? save_file_copy(s, name, kind, path) : OK;

    mem_free(path);
    return status;
}

static int write_base(struct save *s, const char *from, const char *base)
{
    struct source x;
    int status;

    if (!weights_base_found(from, base))
        return OK;
    TRY(weights_open_base(&x.weights, from, base));
    list_params(&x);
    status = weights_save(
        s, x.params, x.weights.count,
        &(struct weights_save_options){
            .base = base, .dtype = x.dtype, .max_shard_bytes = UINT64_MAX, .kind = MANIFEST_STATE });
    source_close(&x);
    return status;
}

static int write_state(struct save *s, const struct merging *m)
{
    for (size_t i = 0; i < m->manifest.note_count; i++)
        save_note(s, m->manifest.notes[i].key, m->manifest.notes[i].value);
    TRY(write_base(s, m->source, MASTER_BASE));
    TRY(write_base(s, m->source, OPTIMIZER_STATE_BASE));
    return copy(s, m->source, TRAINER_STATE_NAME, MANIFEST_STATE);
}

/* ---- all of it ---- */

static int write_all(struct save *s, const struct merging *m)
{
    const struct weights_save_options weights = { .dtype = m->model.dtype,
                                                  .max_shard_bytes = m->o->max_shard_bytes,
                                                  .kind = MANIFEST_MODEL };

    TRY(copy(s, m->source, "config.json", MANIFEST_MODEL));
    TRY(copy(s, m->source, "generation_config.json", MANIFEST_MODEL));
    TRY(model_copy_tokenizer(s, m->source));
    TRY(weights_save(s, m->model.params, m->model.weights.count, &weights));
    return m->state ? write_state(s, m) : OK;
}

static int write_directory(const struct merging *m, const char *directory)
{
    const struct weights_save_options weights = { .dtype = m->model.dtype };
    const struct save_options o = {
        .directory = directory,
        .name = "model",
        .run = m->manifest.run,
        .step = m->manifest.step,
        .manifest = m->state,
        .bytes = weights_save_bytes(m->model.params, m->model.weights.count, &weights),
    };
    struct save *s;
    int status;

    TRY(save_begin(&s, &o));
    status = write_all(s, m);
    if (status == OK)
        return save_install(s);
    save_abort(s);
    return status;
}

static void read_manifest(struct merging *m)
{
    char *path = path_join(m->source, MANIFEST_NAME);

    m->has_manifest = checkpoint_read_manifest(path, &m->manifest) == OK;
    if (!m->has_manifest)
        error_clear(); /* a model directory needs none */
    m->state = m->o->state && m->has_manifest && manifest_find(&m->manifest, TRAINER_STATE_NAME) != NULL;
    mem_free(path);
}

int merge_checkpoint(const char *source, const char *directory, const struct merge_options *o, bool *state)
{
    struct merging m = { .source = source, .o = o };
    int status;

    TRY(weights_open(&m.model.weights, source));
    list_params(&m.model);
    read_manifest(&m);
    status = write_directory(&m, directory);
    if (status == OK && state)
        *state = m.state;
    if (m.has_manifest)
        manifest_release(&m.manifest);
    source_close(&m.model);
    return status;
}
