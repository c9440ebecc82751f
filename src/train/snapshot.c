#include "train/snapshot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parallel.h"
#include "ckpt/optimizer_state.h"
#include "ckpt/share.h"

static bool has_master(const struct run *r)
{
    return r->job->save_dtype && strcmp(weights_save_dtype(r->job->save_dtype), "F32") != 0;
}

/* Of all stages and their tp ranks. */
static double whole_state_bytes(const struct plan *p)
{
    const struct graph *g = p->whole ? p->whole : p->graph;
    double bytes = 0;

    for (size_t i = 0; i < g->tensor_count; i++)
        if (g->tensors[i]->kind == TENSOR_STATE && !g->tensors[i]->producer)
            bytes += (double)tensor_bytes(g->tensors[i]);
    return bytes;
}

int snapshot_bytes(struct run *r, uint64_t *bytes)
{
    double all = (double)(r->freeze.frozen + r->freeze.trained), state = 0;
    double model = has_master(r) ? 2 * all : 4 * all;

    if (!r->o->save_only_model && r->plan)
        state = whole_state_bytes(r->plan);
    if (!r->o->save_only_model && has_master(r))
        state += 4 * all;
    *bytes = (uint64_t)(model + state) + (1 << 20);
    return r->o->output_dir ? save_check_space(r->o->output_dir, *bytes, "a checkpoint") : OK;
}

/* ---- only finite values ---- */

enum { TILE = 1 << 16 };

struct finding {
    const float *data;
    int64_t count;
    bool *bad; /* [tile] */
};

static void find_bad(void *context, int64_t tile)
{
    const struct finding *f = context;
    int64_t end = (tile + 1) * TILE < f->count ? (tile + 1) * TILE : f->count;
    bool bad = false;

    for (int64_t i = tile * TILE; i < end; i++)
        bad |= !isfinite(f->data[i]);
    f->bad[tile] = bad;
}

static int check_stored(const struct worker *w, const struct stored *s)
{
    struct finding f = { .data = s->data, .count = s->bytes / (int64_t)sizeof(float) };
    int64_t tiles = ceil_div(f.count, TILE);
    bool bad = false;

    f.bad = mem_alloc_array((size_t)tiles + 1, sizeof(bool));
    parallel_for(tiles, find_bad, &f);
    for (int64_t i = 0; i < tiles; i++)
        bad = bad || f.bad[i];
    mem_free(f.bad);
    if (!bad)
        return OK;
    fail(ERR_DATA, "step %" PRId64 ": %s has values that are not finite; nothing is saved", w->step, s->name);
    error_hint("a lower learning_rate, a longer warm-up or a smaller max_grad_norm may help");
    return ERR_DATA;
}

int snapshot_check(const struct worker *w)
{
    for (size_t i = 0; i < store_count(w->store); i++) {
        const struct stored *s = store_at(w->store, i);
        if ((s->kind == TENSOR_PARAM || s->kind == TENSOR_STATE) && s->dtype == DT_F32)
            TRY(check_stored(w, s));
    }
    return OK;
}

/* ---- saving ---- */

enum { TAG_BYTES = 48 };

/* tag: TAG_BYTES for the name of this save */
static struct model_save_options model_options(const struct run *r, char *tag)
{
    const struct train_job *job = r->job;

    snprintf(tag, TAG_BYTES, "%s step %" PRId64, r->id, r->state.global_step);
    return (struct model_save_options){ .dtype = job->save_dtype,
                                        .max_shard_bytes = job->max_shard_bytes,
                                        .tag = tag,
                                        .tokenizer_dir = job->tokenizer_dir,
                                        .generation_dir = job->model->directory };
}

static int write_model(struct run *r, struct save *s, const struct weights_param *params, size_t count)
{
    char tag[TAG_BYTES];
    const struct model_save_options o = model_options(r, tag);

    return model_write(s, &r->job->model->config, params, count, &o);
}

static int write_moments(struct gather *g, struct save *s)
{
    size_t count;
    struct weights_param *states = gather_params(g, TENSOR_STATE, &count);
    int status = optimizer_state_save(s, states, count);

    mem_free(states);
    return status;
}

static int write_master(struct run *r, struct save *s, const struct weights_param *params, size_t count)
{
    const struct weights_save_options master = { .base = MASTER_BASE,
                                                 .max_shard_bytes = UINT64_MAX,
                                                 .kind = MANIFEST_STATE };

    return has_master(r) && !r->o->save_only_model ? weights_save(s, params, count, &master) : OK;
}

/* As ranks hold it. */
static int write_pieces(struct run *r, struct gather *g, struct save *s)
{
    char tag[TAG_BYTES];
    const struct model_save_options o = model_options(r, tag);
    struct gather_save_options pieces = {
        .base = "model", .tensors = TENSOR_PARAM, .dtype = o.dtype, .kind = MANIFEST_MODEL, .tag = tag
    };

    TRY(model_write_beside(s, &r->job->model->config, &o));
    TRY(gather_save(g, s, &pieces));
    if (r->o->save_only_model)
        return OK;
    pieces.kind = MANIFEST_STATE;
    pieces.dtype = NULL;
    pieces.base = MASTER_BASE;
    if (has_master(r))
        TRY(gather_save(g, s, &pieces));
    pieces.base = OPTIMIZER_STATE_BASE;
    pieces.tensors = TENSOR_STATE;
    TRY(gather_save(g, s, &pieces));
    return trainer_state_save(s, &r->state);
}

static int write_all(struct run *r, struct gather *g, struct save *s, bool with_state)
{
    size_t count;
    struct weights_param *params;
    struct str layout;
    int status;

    for (size_t i = 0; i < r->job->note_count; i++)
        save_note(s, r->job->notes[i].key, r->job->notes[i].value);
    str_init(&layout);
    layout_write(&r->layout, &layout);
    save_note(s, "layout", layout.data);
    str_release(&layout);
    if (with_state && r->o->save_sharded)
        return write_pieces(r, g, s);
    params = gather_params(g, TENSOR_PARAM, &count);
    status = write_model(r, s, params, count);
    if (status == OK && with_state)
        status = write_master(r, s, params, count);
    mem_free(params);
    if (status != OK || !with_state || r->o->save_only_model)
        return status;
    TRY(write_moments(g, s));
    return trainer_state_save(s, &r->state);
}

int snapshot_save(struct run *r, struct gather *g)
{
    char name[48];
    struct save_options o = { .directory = r->o->output_dir,
                              .name = name,
                              .run = r->id,
                              .step = r->state.global_step,
                              .bytes = r->checkpoint_bytes };
    struct save *s;
    int status;

    snprintf(name, sizeof(name), "checkpoint-%" PRId64, r->state.global_step);
    TRY(save_begin(&s, &o));
    status = write_all(r, g, s, true);
    if (status != OK) {
        save_abort(s);
        return status;
    }
    return save_commit(s, NULL);
}

int snapshot_save_model(struct run *r, struct gather *g)
{
    const struct save_options o = { .directory = r->o->output_dir, .name = "model", .run = r->id };
    struct save *s;
    int status;

    TRY(save_begin(&s, &o));
    status = write_all(r, g, s, false);
    if (status != OK) {
        save_abort(s);
        return status;
    }
    return save_install(s);
}

/* ---- loading ---- */

struct reading {
    const struct weights_tensor *t;
    float *data;
};

static int read_box(void *context, const struct box *box, int64_t offset, const int64_t *stride)
{
    const struct reading *r = context;

    return weights_read(r->t, box, r->data + offset, stride);
}

static int read_share(const struct weights_tensor *t, struct stored *s)
{
    struct reading r = { .t = t, .data = s->data };

    TRY(weights_check_shape(t, s->param.file_ndim, s->param.file_dims));
    if (!share_is_whole(s))
        memset(s->data, 0, (size_t)share_count(s) * sizeof(float));
    return share_each_box(s, read_box, &r);
}

/* All of one kind, from weights that were opened for it. */
static int load_kind(struct weights *w, struct store *store, enum tensor_kind kind)
{
    struct weights_tensor *t;
    int status = OK;

    for (size_t i = 0; i < store_count(store) && status == OK; i++) {
        struct stored *s = store_at(store, i);
        if (s->kind != kind)
            continue;
        status = weights_get(w, s->name, NULL, &t);
        if (status == OK)
            status = read_share(t, s);
    }
    weights_close(w);
    return status;
}

int snapshot_load(const struct model *model, const char *checkpoint, struct store *store)
{
    bool apart = weights_base_found(checkpoint, MASTER_BASE);
    struct weights w;

    TRY(apart ? weights_open_base(&w, checkpoint, MASTER_BASE) : model_fill_store(model, store));
    if (apart)
        TRY(load_kind(&w, store, TENSOR_PARAM));
    TRY(optimizer_state_open(&w, checkpoint));
    return load_kind(&w, store, TENSOR_STATE);
}
