/* tensors_compare FOUND EXPECTED [exact]: whether the tensors of EXPECTED stand in FOUND, with the same
 * shapes and close values: 2e-5 relative (L2) for what is no gradient, 1e-3 for each gradient, where a
 * gradient is taken to be no smaller than 1e-4 of the norm of all of them. exact: bit for bit, and no other
 * tensors. Prints what differs. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/safetensors.h"

static float *values_of(const struct safetensors *st, const struct safetensors_tensor *t)
{
    float *values = mem_alloc_array((size_t)t->count + 1, sizeof(float));

    if (safetensors_read_float(st, t, values) != OK)
        BUG("%s", error_message());
    return values;
}

static bool is_gradient(const char *name)
{
    return str_starts_with(name, "grad.");
}

static double norm_of_gradients(const struct safetensors *st)
{
    double sum = 0;

    for (size_t i = 0; i < st->count; i++) {
        float *v;
        if (!is_gradient(st->tensors[i].name))
            continue;
        v = values_of(st, &st->tensors[i]);
        for (int64_t k = 0; k < (int64_t)st->tensors[i].count; k++)
            sum += (double)v[k] * v[k];
        mem_free(v);
    }
    return sqrt(sum);
}

static bool same_shape(const struct safetensors_tensor *a, const struct safetensors_tensor *b)
{
    return a->ndim == b->ndim &&
           (a->ndim == 0 || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof(*a->shape)) == 0);
}

/* |a - b| / max(|b|, floor); a NaN on one side alone is infinitely far. */
static double distance(const float *a, const float *b, int64_t count, double floor)
{
    double difference = 0, norm = 0;

    for (int64_t i = 0; i < count; i++) {
        double d = (double)a[i] - b[i];
        if (isnan(a[i]) && isnan(b[i]))
            continue;
        if (isnan(d))
            return INFINITY;
        difference += d * d;
        norm += (double)b[i] * b[i];
    }
    if (difference == 0)
        return 0;
    return sqrt(difference) / fmax(sqrt(norm), floor);
}

static bool is_close(const struct safetensors *found, const struct safetensors *expected,
                     const struct safetensors_tensor *e, double gradients, bool exact)
{
    const struct safetensors_tensor *f = safetensors_find(found, e->name);
    double limit = exact ? 0 : is_gradient(e->name) ? 1e-3 : 2e-5, d;
    float *a, *b;

    if (!f || !same_shape(f, e)) {
        printf("%s: %s\n", e->name, f ? "another shape" : "missing");
        return false;
    }
    a = values_of(found, f);
    b = values_of(expected, e);
    d = distance(a, b, e->count, is_gradient(e->name) ? 1e-4 * gradients : 0);
    if (d > limit)
        printf("%s: differs by %g (at most %g)\n", e->name, d, limit);
    mem_free(a);
    mem_free(b);
    return d <= limit;
}

int main(int argc, char **argv)
{
    bool exact = argc == 4 && strcmp(argv[3], "exact") == 0, close = true;
    struct safetensors found, expected;
    double gradients;

    if (argc < 3 || safetensors_open(&found, argv[1]) != OK || safetensors_open(&expected, argv[2]) != OK) {
        fprintf(stderr, "tensors_compare: %s\n", argc < 3 ? "two files are compared" : error_message());
        return 2;
    }
    gradients = norm_of_gradients(&expected);
    for (size_t i = 0; i < expected.count; i++)
        close &= is_close(&found, &expected, &expected.tensors[i], gradients, exact);
    if (exact && found.count != expected.count) {
        printf("%zu tensors, expected %zu\n", found.count, expected.count);
        close = false;
    }
    safetensors_close(&found);
    safetensors_close(&expected);
    return close ? 0 : 1;
}
