/* plait_checkpoint_merge. */
#include "ckpt/merge.h"
#include "api/api.h"

struct values {
    struct saving_options saving;
};

static const struct option options_table[] = {
    { "max_shard_size", OPTION_STRING, offsetof(struct values, saving.max_shard_size), "50GB",
      "weights larger than this are split over several files" },
    { 0 },
};

static const struct option_part parts[] = { { "", options_table, 0 }, { 0 } };

int plait_checkpoint_merge(const char *source, const char *directory, const char *const *options)
{
    struct merge_options o = { 0 };
    struct api_options given;
    struct values v = { 0 };
    int status;

    TRY(api_begin("plait_checkpoint_merge", source, "source"));
    TRY(api_require("plait_checkpoint_merge", directory, "directory"));
    TRY(api_options_read(&given, "init", parts, &v, options));
    status = saving_shard_bytes(&v.saving, &o.max_shard_bytes);
    if (status == OK)
        status = merge_checkpoint(source, directory, &o, NULL);
    api_options_release(&given);
    return status;
}
