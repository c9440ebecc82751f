#include "ckpt/optimizer_state.h"

#include "base/file.h"
#include "base/mem.h"

int optimizer_state_save(struct save *s, const struct weights_param *states, size_t count)
{
    return weights_save(s, states, count,
                        &(struct weights_save_options){
                            .base = "optimizer",
                            .max_shard_bytes = UINT64_MAX,
                            .kind = MANIFEST_STATE,
                        });
}

int optimizer_state_open(struct weights *w, const char *checkpoint)
{
    char *path = path_join(checkpoint, OPTIMIZER_STATE_NAME);
    int status = weights_open(w, path);
    mem_free(path);
    return status;
}
