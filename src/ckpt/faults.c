#include "ckpt/faults.h"

#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/checkpoint_verify.h"
#include "ckpt/hf.h"
#include "ckpt/optimizer_state.h"
#include "ckpt/trainer_state.h"

struct search {
    const char *directory;
    void (*tell)(void *context, const char *sentence);
    void *context;
    struct faults *found;
    bool manifest; /* there is one that can be read */
};

/* Whether there was none. */
static bool right(struct search *s, int status)
{
    if (status == OK)
        return true;
    s->tell(s->context, error_message());
    error_clear();
    s->found->count++;
    return false;
}

static bool has(const struct search *s, const char *name)
{
    char *path = path_join(s->directory, name);
    bool there = file_exists(path);

    mem_free(path);
    return there;
}

static void look_at_files(struct search *s)
{
    struct manifest m;
    char *path = path_join(s->directory, MANIFEST_NAME);

    s->found->manifest = file_exists(path);
    s->manifest = s->found->manifest && right(s, checkpoint_read_manifest(path, &m));
    if (s->manifest) {
        for (size_t i = 0; i < m.count; i++) {
            right(s, checkpoint_verify_file(s->directory, &m.files[i], CHECKPOINT_CHECKSUMS));
            s->found->bytes += m.files[i].bytes;
        }
        s->found->files = m.count;
        manifest_release(&m);
    }
    mem_free(path);
}

/* ---- state ---- */

/* exp_avg.NAME is as large as NAME; what Adafactor has of rows and columns is not. */
static int check_moment(const struct model *m, const struct weights_tensor *t)
{
    const char *name = optimizer_state_param(t->name);
    const struct weights_tensor *param = name ? model_source(m, name) : NULL;

    if (!param)
        return safetensors_fail(t->file->path, t->name, "state of nothing that the model has");
    if (str_starts_with(t->name, "exp_avg_sq_row.") || str_starts_with(t->name, "exp_avg_sq_col."))
        return OK;
    return weights_check_shape(t, param->info->ndim, param->info->shape);
}

static void look_at_base(struct search *s, const struct model *m, const char *base)
{
    bool master = strcmp(base, MASTER_BASE) == 0;
    struct weights w;

    if (!weights_base_found(s->directory, base) || !right(s, weights_open_base(&w, s->directory, base)))
        return;
    for (size_t i = 0; i < w.count && m; i++) {
        const struct weights_tensor *t = &w.tensors[i], *param = master ? model_source(m, t->name) : NULL;
        if (!master)
            right(s, check_moment(m, t));
        else if (param)
            right(s, weights_check_shape(t, param->info->ndim, param->info->shape));
    }
    weights_close(&w);
}

static void look_at_state(struct search *s, const struct model *m)
{
    struct trainer_state t;

    look_at_base(s, m, MASTER_BASE);
    look_at_base(s, m, OPTIMIZER_STATE_BASE);
    s->found->state = s->manifest && has(s, TRAINER_STATE_NAME);
    if (s->found->state && right(s, trainer_state_load(&t, s->directory)))
        trainer_state_release(&t);
}

/* ---- the model ---- */

static void count_weights(struct search *s, const struct weights *w)
{
    s->found->tensors = w->count;
    s->found->weights_files = w->file_count;
}

static void look_at_model(struct search *s)
{
    struct model m;
    struct weights w;

    if (!has(s, "config.json")) {
        if (right(s, weights_open(&w, s->directory))) {
            count_weights(s, &w);
            weights_close(&w);
        }
        look_at_state(s, NULL);
        return;
    }
    if (!right(s, model_open(&m, &(struct model_options){ .name = s->directory }))) {
        look_at_state(s, NULL);
        return;
    }
    count_weights(s, &m.weights);
    look_at_state(s, &m);
    model_close(&m);
}

int faults_find(const char *directory, void (*tell)(void *context, const char *sentence), void *context,
                struct faults *out)
{
    struct search s = { .directory = directory, .tell = tell, .context = context, .found = out };

    *out = (struct faults){ 0 };
    if (!file_exists(directory))
        return fail(ERR_OPEN, "%s: no such directory", directory);
    if (!file_is_directory(directory))
        return fail(ERR_OPEN, "%s: not a directory", directory);
    look_at_files(&s);
    look_at_model(&s);
    return OK;
}
