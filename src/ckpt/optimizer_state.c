#include "ckpt/optimizer_state.h"

#include <string.h>

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

const char *optimizer_state_param(const char *name)
{
    static const char *const prefixes[] = { "exp_avg.", "exp_avg_sq.", "exp_avg_sq_row.", "exp_avg_sq_col." };

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (str_starts_with(name, prefixes[i]))
            return name + strlen(prefixes[i]);
    return NULL;
}
