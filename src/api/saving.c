#include "api/options.h"
#include "base/err.h"

static const char *const dtypes[] = { "float32", "bfloat16", "float16", NULL };

const struct option saving_options[] = {
    { "save_dtype", OPTION_CHOICE, offsetof(struct saving_options, dtype), NULL,
      "type of the weights in files; without it the input model's, float32 from scratch", .choices = dtypes },
    { "max_shard_size", OPTION_STRING, offsetof(struct saving_options, max_shard_size), "50GB",
      "weights larger than this are split over several files" },
    { 0 },
};

const char *saving_dtype(const struct saving_options *s)
{
    return s->dtype < 0 ? NULL : dtypes[s->dtype];
}

int saving_shard_bytes(const struct saving_options *s, uint64_t *bytes)
{
    TRY(parse_bytes("max_shard_size", s->max_shard_size, bytes));
    if (*bytes == 0)
        return fail(ERR_USAGE, "--max_shard_size: no file can be that small (found \"%s\")",
                    s->max_shard_size);
    return OK;
}
