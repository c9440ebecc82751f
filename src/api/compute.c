/* Where and how precisely a model is run, and how much memory it may take. */
#include <stdlib.h>
#include <string.h>

#include "api/options.h"
#include "base/err.h"
#include "base/mem.h"

enum { DEVICE_CPU, DEVICE_CUDA };
enum { DTYPE_FLOAT32, DTYPE_BFLOAT16, DTYPE_FLOAT16 };

static const char *const devices[] = { "cpu", "cuda", NULL };
static const char *const dtypes[] = { "float32", "bfloat16", "float16", NULL };

const struct option compute_options[] = {
    { "device", OPTION_CHOICE, offsetof(struct compute_options, device), "cpu", "where the model runs",
      .choices = devices, .aliases = (const char *const[]){ "no_cuda=cpu", NULL } },
    { "dtype", OPTION_CHOICE, offsetof(struct compute_options, dtype), "float32",
      "precision of the computation, whatever the files hold", .choices = dtypes,
      .aliases = (const char *const[]){ "bf16=bfloat16", "fp16=float16", NULL } },
    { "device_memory", OPTION_STRING, offsetof(struct compute_options, device_memory), ".90",
      "memory that may be taken: a size for each rank (8GB), or a fraction of what the host has free" },
    { 0 },
};

#define UNUSED_HERE "this command runs no model"

const struct option no_compute_options[] = {
    { "device", OPTION_NOTE, .help = UNUSED_HERE },
    { "dtype", OPTION_NOTE, .help = UNUSED_HERE },
    { "bf16", OPTION_NOTE, .help = UNUSED_HERE, .bare = true },
    { "device_memory", OPTION_NOTE, .help = UNUSED_HERE },
    { 0 },
};

double compute_memory_part(const struct compute_options *c)
{
    const char *text = c->device_memory;
    char *end;
    double part = strtod(text, &end);

    return *text && !*end && part > 0 && part <= 1 ? part : 0;
}

static int memory_limit(const struct compute_options *c, int ranks, double *bytes)
{
    double part = compute_memory_part(c);
    uint64_t size;

    if (part > 0) {
        *bytes = part * (double)mem_available();
        return OK;
    }
    TRY(parse_bytes("device_memory", c->device_memory, &size));
    *bytes = (double)size * ranks;
    return OK;
}

int compute_check(const struct compute_options *c, int ranks, double *bytes)
{
    if (c->device == DEVICE_CUDA)
        return fail(ERR_CONFIG, "--device cuda: this plait was built without CUDA (expected cpu)");
    if (c->dtype == DTYPE_FLOAT16)
        return fail(ERR_CONFIG,
                    "--dtype float16 is not offered: its range is too small to train in without loss "
                    "scaling (expected float32 or bfloat16)");
    return memory_limit(c, ranks, bytes);
}

enum dtype compute_dtype(const struct compute_options *c)
{
    return c->dtype == DTYPE_BFLOAT16 ? DT_BF16 : DT_F32;
}
