/* The program that save_kill.sh kills and starves: what a training run does around a checkpoint, and nothing
 * else.
 *
 *     save_driver save DIR STEP GENERATION   lock, clean, save checkpoint-STEP, prune to two
 *     save_driver check DIR                  as a resume: lock, clean, take the newest; prints
 *                                            "STEP GENERATION" or "none"
 *     save_driver publish DIR STEP           make checkpoint-STEP the model of DIR
 *     save_driver model DIR                  as a user: prints "STEP GENERATION" of the model in DIR,
 *                                            or "closed"
 *
 * Every file of a checkpoint holds STEP and GENERATION, so a mix of two is seen. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "ckpt/checkpoint.h"
#include "ckpt/lock.h"
#include "ckpt/optimizer_state.h"
#include "ckpt/trainer_state.h"
#include "ckpt/weights.h"

enum { VALUES = 3000 };

struct version {
    int64_t step, generation;
};

static float value_at(struct version v, int64_t i)
{
    return (float)(v.step * 1000 + v.generation * 100 + i % 97);
}

static int read_values(const struct weights_param *p, int64_t first, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = value_at(*(const struct version *)p->context, first + i);
    return OK;
}

/* ---- save ---- */

static int add_files(struct save *s, struct version *v)
{
    static const int64_t shape[] = { VALUES };
    struct weights_param p[] = {
        { .name = "a", .ndim = 1, .shape = shape, .read = read_values, .context = v },
        { .name = "b", .ndim = 1, .shape = shape, .read = read_values, .context = v }
    };
    struct trainer_state t;
    struct str config;
    str_init(&config);
    str_appendf(&config, "{\"step\": %" PRId64 ", \"generation\": %" PRId64 "}\n", v->step, v->generation);
    int status = save_file(s, "config.json", MANIFEST_MODEL, config.data, config.length);
    str_release(&config);
    TRY(status);
    TRY(weights_save(s, p, 2, &(struct weights_save_options){ .max_shard_bytes = 4 * VALUES }));
    TRY(optimizer_state_save(s, p, 2));
    trainer_state_init(&t);
    t.global_step = v->step;
    t.samples_seen = v->generation;
    return trainer_state_save(s, &t);
}

static int save_checkpoint(const char *directory, struct version v)
{
    struct save *s;
    struct str name;
    str_init(&name);
    str_appendf(&name, "checkpoint-%" PRId64, v.step);
    struct save_options o = { .directory = directory, .name = name.data, .step = v.step };
    int status = save_begin(&s, &o);
    if (status == OK) {
        status = add_files(s, &v);
        if (status == OK)
            status = save_commit(s, NULL);
        else
            save_abort(s);
    }
    str_release(&name);
    return status;
}

static int run_save(const char *directory, struct version v)
{
    struct lock l;
    size_t count;
    TRY(directory_create(directory));
    TRY(lock_take(&l, directory));
    int status = checkpoint_clean(directory, &count);
    if (status == OK)
        status = save_checkpoint(directory, v);
    if (status == OK)
        status = checkpoint_prune(directory, 2, NULL, &count);
    lock_release(&l);
    return status;
}

/* ---- check ---- */

static int read_config(const char *directory, struct version *v)
{
    struct json_reader r;
    struct json_string key;
    struct str text;
    char *path = path_join(directory, "config.json");
    str_init(&text);
    int status = file_read(path, 0, &text);
    json_reader_init(&r, path, text.data, text.length);
    if (status == OK && json_object_begin(&r)) {
        while (json_next_key(&r, &key)) {
            int64_t *to = json_key_is(&r, "step") ? &v->step : &v->generation;
            *to = json_int(&r, 0, INT64_MAX);
        }
    }
    if (status == OK)
        status = json_end(&r);
    json_reader_release(&r);
    str_release(&text);
    mem_free(path);
    return status;
}

static int check_tensor(struct weights *w, struct weights_tensor *t, struct version v)
{
    float values[VALUES];
    TRY(weights_read(t, NULL, values, NULL));
    for (int64_t i = 0; i < VALUES; i++) {
        if (values[i] != value_at(v, i))
            return fail(ERR_DATA, "%s: tensor %s belongs to another save", w->path, t->name);
    }
    return OK;
}

static int check_weights(const char *directory, struct version v)
{
    struct weights w;
    TRY(weights_open(&w, directory));
    int status = w.count == 2 ? OK : fail(ERR_DATA, "%s: %zu tensors", directory, w.count);
    for (size_t i = 0; i < w.count && status == OK; i++)
        status = check_tensor(&w, &w.tensors[i], v);
    weights_close(&w);
    return status;
}

static int check_state(const char *path, struct version v)
{
    struct trainer_state t;
    struct weights w;
    TRY(trainer_state_load(&t, path));
    if (t.global_step != v.step || t.samples_seen != v.generation)
        return fail(ERR_DATA, "%s: state of another save", path);
    TRY(optimizer_state_open(&w, path));
    int status = OK;
    for (size_t i = 0; i < w.count && status == OK; i++)
        status = check_tensor(&w, &w.tensors[i], v);
    weights_close(&w);
    return status;
}

static int check_newest(const char *directory)
{
    struct version v = { 0 };
    char *path;
    TRY(checkpoint_newest(directory, CHECKPOINT_CHECKSUMS, &path));
    if (path == NULL) {
        puts("none");
        return OK;
    }
    int status = read_config(path, &v);
    if (status == OK)
        status = check_weights(path, v);
    if (status == OK)
        status = check_state(path, v);
    if (status == OK)
        printf("%" PRId64 " %" PRId64 "\n", v.step, v.generation);
    mem_free(path);
    return status;
}

static int run_check(const char *directory)
{
    struct lock l;
    size_t count;
    TRY(lock_take(&l, directory));
    int status = checkpoint_clean(directory, &count);
    if (status == OK)
        status = check_newest(directory);
    lock_release(&l);
    return status;
}

/* ---- the model of the directory ---- */

static int run_publish(const char *directory, int64_t step)
{
    struct str path;
    str_init(&path);
    str_appendf(&path, "%s/checkpoint-%" PRId64, directory, step);
    int status = checkpoint_publish(path.data, directory);
    str_release(&path);
    return status;
}

static int run_model(const char *directory)
{
    struct version v = { 0 };
    char *config = path_join(directory, "config.json");
    bool open = file_exists(config);
    mem_free(config);
    if (!open) {
        puts("closed");
        return OK;
    }
    TRY(read_config(directory, &v));
    TRY(check_weights(directory, v));
    printf("%" PRId64 " %" PRId64 "\n", v.step, v.generation);
    return OK;
}

int main(int argc, char **argv)
{
    int status = ERR_USAGE;
    if (argc == 5 && strcmp(argv[1], "save") == 0)
        status =
            run_save(argv[2], (struct version){ strtoll(argv[3], NULL, 10), strtoll(argv[4], NULL, 10) });
    else if (argc == 3 && strcmp(argv[1], "check") == 0)
        status = run_check(argv[2]);
    else if (argc == 4 && strcmp(argv[1], "publish") == 0)
        status = run_publish(argv[2], strtoll(argv[3], NULL, 10));
    else if (argc == 3 && strcmp(argv[1], "model") == 0)
        status = run_model(argv[2]);
    if (status != OK)
        fprintf(stderr, "save_driver: error: %s\n", error_message());
    return error_exit_code(status);
}
