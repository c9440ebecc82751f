#include "ckpt/optimizer_state.h"

int optimizer_state_save(struct save *s, const struct weights_param *states, size_t count)
{
    return weights_save(s, states, count,
                        &(struct weights_save_options){
                            .base = OPTIMIZER_STATE_BASE,
                            .max_shard_bytes = UINT64_MAX,
                            .kind = MANIFEST_STATE,
                        });
}

int optimizer_state_open(struct weights *w, const char *checkpoint)
{
    return weights_open_base(w, checkpoint, OPTIMIZER_STATE_BASE);
}
