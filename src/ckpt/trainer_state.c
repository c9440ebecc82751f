#include "ckpt/trainer_state.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "ckpt/checkpoint_verify.h"
#include "ckpt/regular.h"

enum field_type { FIELD_INT, FIELD_UINT, FIELD_DOUBLE, FIELD_STRING };

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    bool later; /* checkpoints of before have none of it: as trainer_state_init leaves it */
};

#define MEMBER(type, name)                                \
    {                                                     \
#name, type, offsetof(struct trainer_state, name) \
    }

#define LATER(type, name)                                       \
    {                                                           \
#name, type, offsetof(struct trainer_state, name), true \
    }

/* NaN stands for "none" (null) in doubles. */
static const struct field hf_fields[] = {
    MEMBER(FIELD_INT, best_global_step),
    MEMBER(FIELD_DOUBLE, best_metric),
    MEMBER(FIELD_STRING, best_model_checkpoint),
    MEMBER(FIELD_DOUBLE, epoch),
    MEMBER(FIELD_INT, global_step),
    MEMBER(FIELD_INT, max_steps),
    MEMBER(FIELD_INT, num_input_tokens_seen),
    MEMBER(FIELD_INT, num_train_epochs),
    MEMBER(FIELD_DOUBLE, total_flos),
};

static const struct field own_fields[] = {
    MEMBER(FIELD_INT, samples_seen),      MEMBER(FIELD_INT, label_tokens_seen),
    MEMBER(FIELD_INT, global_batch_size), MEMBER(FIELD_UINT, seed),
    MEMBER(FIELD_UINT, data_seed),        MEMBER(FIELD_DOUBLE, loss_sum),
    MEMBER(FIELD_INT, loss_tokens),       MEMBER(FIELD_DOUBLE, train_loss_sum),
    MEMBER(FIELD_INT, train_loss_tokens), MEMBER(FIELD_INT, skipped_steps),
    MEMBER(FIELD_DOUBLE, train_seconds),  LATER(FIELD_DOUBLE, lr_factor),
    LATER(FIELD_DOUBLE, lr_best),         LATER(FIELD_INT, lr_bad),
    LATER(FIELD_INT, lr_cooldown),
};

enum {
    HF_COUNT = sizeof(hf_fields) / sizeof(hf_fields[0]),
    OWN_COUNT = sizeof(own_fields) / sizeof(own_fields[0]),
};

void trainer_state_init(struct trainer_state *t)
{
    *t = (struct trainer_state){ .best_metric = NAN, .lr_factor = 1, .lr_best = NAN };
}

void trainer_state_release(struct trainer_state *t)
{
    mem_free(t->best_model_checkpoint);
    trainer_state_init(t);
}

/* ---- writing ---- */

static void write_field(struct json_writer *w, const struct trainer_state *t, const struct field *f)
{
    const char *at = (const char *)t + f->offset;
    int64_t i;
    uint64_t u;
    double d;
    const char *s;
    json_write_key(w, f->name);
    switch (f->type) {
    case FIELD_INT:
        memcpy(&i, at, sizeof(i));
        json_write_int(w, i);
        break;
    case FIELD_UINT:
        memcpy(&u, at, sizeof(u));
        json_write_uint64(w, u);
        break;
    case FIELD_DOUBLE:
        memcpy(&d, at, sizeof(d));
        if (isnan(d))
            json_write_null(w);
        else
            json_write_double(w, d);
        break;
    case FIELD_STRING:
        memcpy(&s, at, sizeof(s));
        if (s == NULL)
            json_write_null(w);
        else
            json_write_string(w, s);
        break;
    }
}

void trainer_state_write(const struct trainer_state *t, struct str *out)
{
    struct json_writer w;
    json_writer_init(&w, out, 2);
    json_write_object_begin(&w);
    for (size_t i = 0; i < HF_COUNT; i++)
        write_field(&w, t, &hf_fields[i]);
    json_write_key(&w, "is_local_process_zero");
    json_write_bool(&w, true);
    json_write_key(&w, "is_world_process_zero");
    json_write_bool(&w, true);
    json_write_key(&w, "log_history"); /* train_log.jsonl has it */
    json_write_array_begin(&w);
    json_write_array_end(&w);
    json_write_key(&w, "plait");
    json_write_object_begin(&w);
    for (size_t i = 0; i < OWN_COUNT; i++)
        write_field(&w, t, &own_fields[i]);
    json_write_object_end(&w);
    json_write_object_end(&w);
    str_append(out, "\n");
}

/* ---- reading ---- */

static void read_field(struct json_reader *r, struct trainer_state *t, const struct field *f)
{
    char *at = (char *)t + f->offset;
    struct json_string text;
    if ((f->type == FIELD_DOUBLE || f->type == FIELD_STRING) && json_peek(r) == JSON_NULL) {
        json_null(r);
        return; /* as trainer_state_init left it: none */
    }
    if (f->type == FIELD_INT) {
        int64_t i = json_int(r, INT64_MIN, INT64_MAX);
        memcpy(at, &i, sizeof(i));
    } else if (f->type == FIELD_UINT) {
        uint64_t u = json_uint64(r);
        memcpy(at, &u, sizeof(u));
    } else if (f->type == FIELD_DOUBLE) {
        double d = json_double(r);
        memcpy(at, &d, sizeof(d));
    } else if (json_string(r, &text)) {
        char *s = mem_strndup(text.data, text.length);
        memcpy(at, &s, sizeof(s));
    }
}

static const struct field *find_field(const struct json_reader *r, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (json_key_is(r, fields[i].name))
            return &fields[i];
    }
    return NULL;
}

static int read_own(struct json_reader *r, struct trainer_state *t)
{
    struct json_string key;
    bool seen[OWN_COUNT] = { false };
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key)) {
        const struct field *f = find_field(r, own_fields, OWN_COUNT);
        if (f == NULL) {
            json_skip(r);
            continue;
        }
        read_field(r, t, f);
        seen[f - own_fields] = true;
    }
    TRY(json_status(r));
    for (size_t i = 0; i < OWN_COUNT; i++) {
        if (!seen[i] && !own_fields[i].later)
            return json_fail(r, "\"%s\" missing", own_fields[i].name);
    }
    return OK;
}

static int read_state(struct json_reader *r, struct trainer_state *t)
{
    struct json_string key;
    bool has_step = false, has_own = false;
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key)) {
        const struct field *f = find_field(r, hf_fields, HF_COUNT);
        has_step = has_step || json_key_is(r, "global_step");
        if (f != NULL) {
            read_field(r, t, f);
        } else if (json_key_is(r, "plait")) {
            has_own = true;
            TRY(read_own(r, t));
        } else {
            json_skip(r);
        }
    }
    TRY(json_end(r));
    if (!has_step || !has_own)
        return fail(ERR_DATA, "%s: \"%s\" missing: not written by plait", r->name,
                    has_step ? "plait" : "global_step");
    return OK;
}

static int check_values(const struct trainer_state *t, const char *path)
{
    if (t->global_step < 0 || t->samples_seen < 0)
        return fail(ERR_DATA, "%s: negative position (step %" PRId64 ", sample %" PRId64 ")", path,
                    t->global_step, t->samples_seen);
    return OK;
}

int trainer_state_parse(struct trainer_state *t, const char *path, const char *bytes, size_t length)
{
    struct json_reader r;
    trainer_state_init(t);
    json_reader_init(&r, path, bytes, length);
    int status = read_state(&r, t);
    json_reader_release(&r);
    if (status == OK)
        status = check_values(t, path);
    if (status != OK)
        trainer_state_release(t);
    return status;
}

int trainer_state_save(struct save *s, const struct trainer_state *t)
{
    struct str text;
    str_init(&text);
    trainer_state_write(t, &text);
    int status = save_file(s, TRAINER_STATE_NAME, MANIFEST_STATE, text.data, text.length);
    str_release(&text);
    return status;
}

int trainer_state_load(struct trainer_state *t, const char *checkpoint)
{
    struct manifest m;
    struct str text;
    char *manifest = path_join(checkpoint, MANIFEST_NAME), *path = path_join(checkpoint, TRAINER_STATE_NAME);
    str_init(&text);
    int status = checkpoint_read_manifest(manifest, &m);
    if (status == OK) {
        status = regular_read(path, &text);
        if (status == OK)
            status = trainer_state_parse(t, path, text.data, text.length);
        if (status == OK && t->global_step != m.step) {
            status = fail(ERR_DATA, "%s: belongs to step %" PRId64 ", the manifest to step %" PRId64, path,
                          t->global_step, m.step);
            trainer_state_release(t);
        }
        manifest_release(&m);
    }
    str_release(&text);
    mem_free(manifest);
    mem_free(path);
    return status;
}
