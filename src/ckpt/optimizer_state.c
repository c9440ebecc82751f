#include "ckpt/optimizer_state.h"

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

static const char *const prefixes[] = { "exp_avg.", "exp_avg_sq." };

int optimizer_state_save(struct save *s, const struct weights_param *exp_avg,
                         const struct weights_param *exp_avg_sq, size_t count)
{
    struct weights_param *all = mem_alloc_array(count, 2 * sizeof(*all));
    struct arena names;
    arena_init(&names);
    for (size_t i = 0; i < 2 * count; i++) {
        all[i] = i < count ? exp_avg[i] : exp_avg_sq[i - count];
        all[i].name = arena_printf(&names, "%s%s", prefixes[i >= count], all[i].name);
    }
    int status = weights_save(s, all, 2 * count,
                              &(struct weights_save_options){
                                  .base = "optimizer",
                                  .max_shard_bytes = UINT64_MAX,
                                  .kind = MANIFEST_STATE,
                              });
    arena_release(&names);
    mem_free(all);
    return status;
}

int optimizer_state_open(struct weights *w, const char *checkpoint)
{
    char *path = path_join(checkpoint, OPTIMIZER_STATE_NAME);
    int status = weights_open(w, path);
    mem_free(path);
    return status;
}

int optimizer_state_get(struct weights *w, enum optimizer_moment moment, const char *param,
                        struct weights_tensor **t)
{
    struct str name;
    str_init(&name);
    str_append(&name, prefixes[moment]);
    str_append(&name, param);
    int status = weights_get(w, name.data, NULL, t);
    str_release(&name);
    return status;
}
