/* A caller's arrays as tensors of a forward, and what comes out as arrays. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"

static const char *const type_names[] = { "int32", "int64", "float32" };

static int read_array(const void *context, const struct named_tensor *t, int64_t *ints, float *floats)
{
    const struct plait_array *a = t->from;

    (void)context;
    if (floats)
        memcpy(floats, a->data, (size_t)t->count * sizeof(floats[0]));
    else if (a->type == PLAIT_INT64)
        memcpy(ints, a->data, (size_t)t->count * sizeof(ints[0]));
    else
        for (int64_t i = 0; i < t->count; i++)
            ints[i] = ((const int32_t *)a->data)[i];
    return OK;
}

int array_take(const char *function, const struct plait_array *a, struct named_tensor *out)
{
    int64_t count = 1;

    if (!a->name || !*a->name)
        return fail(ERR_USAGE, "%s: an array has no name", function);
    if (a->type < PLAIT_INT32 || a->type > PLAIT_FLOAT32)
        return fail(ERR_USAGE, "%s: %s: no such type (found %d)", function, a->name, a->type);
    if (a->ndim < 0 || a->ndim > PLAIT_DIMS)
        return fail(ERR_USAGE, "%s: %s: wrong number of dims (found %d, expected 0 to %d)", function, a->name,
                    a->ndim, PLAIT_DIMS);
    for (int d = 0; d < a->ndim; d++)
        if (a->shape[d] < 0 || !checked_mul(count, a->shape[d], &count) || count > INT64_MAX / 8)
            return fail(ERR_USAGE, "%s: %s: dim %d cannot be (found %" PRId64 ")", function, a->name, d,
                        a->shape[d]);
    if (count > 0 && !a->data)
        return fail(ERR_USAGE, "%s: %s: data is NULL", function, a->name);
    *out = (struct named_tensor){ .name = a->name,
                                  .type = type_names[a->type],
                                  .kind = a->type == PLAIT_FLOAT32 ? NAMED_FLOAT : NAMED_INT,
                                  .ndim = a->ndim,
                                  .shape = a->shape,
                                  .count = count,
                                  .from = a };
    return OK;
}

static int take_all(const struct plait_array *arrays, int64_t count, struct named_tensor *out)
{
    for (int64_t i = 0; i < count; i++) {
        TRY(array_take("plait_model_forward", &arrays[i], &out[i]));
        for (int64_t k = 0; k < i; k++)
            if (strcmp(out[k].name, out[i].name) == 0)
                return fail(ERR_USAGE, "plait_model_forward: %s is there twice", out[i].name);
    }
    return OK;
}

int plait_model_forward(struct plait_model *m, const struct plait_array *inputs, int64_t count, int wanted,
                        const struct plait_loss *loss)
{
    struct named_tensors list = { .path = "plait_model_forward", .read = read_array };
    struct named_tensor *taken;
    int status;

    TRY(api_begin("plait_model_forward", m, "m"));
    TRY(api_require("plait_model_forward", inputs, "inputs"));
    if (loss)
        TRY(api_require("plait_model_forward", (const void *)loss->build, "loss->build"));
    if (count < 1 || count > 64)
        return fail(ERR_USAGE, "plait_model_forward: wrong number of arrays (found %" PRId64 ")", count);
    taken = mem_alloc_array((size_t)count, sizeof(taken[0]));
    status = take_all(inputs, count, taken);
    list.list = taken;
    list.count = (size_t)count;
    if (status == OK)
        status = forward_run(m, &list, wanted, loss);
    mem_free(taken);
    return status;
}

static void give_result(const struct forward_result *r, struct plait_array *out)
{
    *out = (struct plait_array){ .name = r->name, .type = PLAIT_FLOAT32, .ndim = r->ndim, .data = r->data };
    for (int d = 0; d < r->ndim; d++)
        out->shape[d] = r->dims[d];
}

int plait_model_output(struct plait_model *m, const char *name, struct plait_array *out)
{
    const struct forward *f = m ? m->forward : NULL;

    TRY(api_begin("plait_model_output", m, "m"));
    TRY(api_require("plait_model_output", name, "name"));
    TRY(api_require("plait_model_output", out, "out"));
    for (int i = 0; f && i < FORWARD_RESULTS; i++)
        if (f->results[i].from && strcmp(f->results[i].name, name) == 0) {
            give_result(&f->results[i], out);
            return OK;
        }
    if (f && strcmp(name, "loss") == 0 && forward_inputs_have_labels(&f->in)) {
        *out = (struct plait_array){ .name = "loss", .type = PLAIT_FLOAT32, .data = &f->loss };
        return OK;
    }
    if (f && strcmp(name, "label_count") == 0) {
        *out = (struct plait_array){ .name = "label_count", .type = PLAIT_INT64, .data = &f->in.label_count };
        return OK;
    }
    return fail(ERR_USAGE, "%.60s: the last forward gave no such thing", name);
}
