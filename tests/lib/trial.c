#include "lib/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/rng.h"
#include "lib/scratch.h"

static int read_sample(void *context, int64_t index, struct sample *s)
{
    const struct data *d = context;
    struct rng_key key = { .seed = 5 };

    for (int64_t i = 0; d->left_out && i <= index; i++)
        index += d->left_out[i];
    s->length = T - index % 5;
    for (int64_t i = 0; i < s->length; i++)
        s->ids[i] = (int32_t)rng_below(key, (uint64_t)index, (uint64_t)i, POISON);
    if (d->bad && d->bad[index])
        s->ids[2] = POISON;
    return OK;
}

static bool watch(void *context, const struct train_progress *p)
{
    struct trial *t = context;

    assert_true(t->steps < STEPS);
    t->loss[t->steps++] = p->loss;
    return p->step != t->stop_at;
}

void trial_init(struct trial *t, void **state, const char *name, const char *model)
{
    *t = (struct trial){ .directory = scratch_path(state, name) };
    t->o = (struct train_options){ .output_dir = t->directory,
                                   .per_device_batch = 1,
                                   .accumulation = 1,
                                   .epochs = 1,
                                   .no_shuffle = true,
                                   .seed = 7,
                                   .data_seed = -1,
                                   .learning_rate = 1e-2,
                                   .beta1 = 0.9,
                                   .beta2 = 0.98,
                                   .epsilon = 1e-8,
                                   .max_grad_norm = 1,
                                   .logging_strategy = STRATEGY_STEPS,
                                   .logging_steps = 1,
                                   .save_strategy = STRATEGY_STEPS,
                                   .save_steps = 1000 };
    assert_int_equal(model_open(&t->model, &(struct model_options){ .name = model }), OK);
    t->job = (struct train_job){
        .model = &t->model,
        .options = &t->o,
        .train = { .count = 12, .max_length = T, .read = read_sample, .context = &t->data },
        .progress = watch,
        .progress_context = t
    };
    assert_int_equal(directory_create(t->directory), OK);
}

void trial_release(struct trial *t)
{
    model_close(&t->model);
    mem_free(t->directory);
}

void trial_run(struct trial *t, int expected, const char *words)
{
    int status = train(&t->job);

    if (status != expected || (words && !strstr(error_message(), words)))
        fail_msg("status %d \"%s\", expected %d \"%s\"", status, error_message(), expected,
                 words ? words : "");
    error_clear();
}

bool trial_has(const struct trial *t, const char *name)
{
    char *path = path_join(t->directory, name);
    bool there = file_exists(path);

    mem_free(path);
    return there;
}

void trial_assert_same_file(const struct trial *a, const struct trial *b, const char *name)
{
    char *p = path_join(a->directory, name), *q = path_join(b->directory, name);
    struct str x, y;

    str_init(&x);
    str_init(&y);
    assert_int_equal(file_read(p, 0, &x), OK);
    assert_int_equal(file_read(q, 0, &y), OK);
    assert_int_equal(x.length, y.length);
    assert_memory_equal(x.data, y.data, x.length);
    str_release(&x);
    str_release(&y);
    mem_free(p);
    mem_free(q);
}
