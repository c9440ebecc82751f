/* Any bytes as a file of partition rules: no crash, and what they say of a parameter can be. */
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "plan/partition.h"

static void make_params(struct builder *b)
{
    const int64_t heads[] = { 8, 3, 2, 4 }, one[] = { 1, 1, 1 };

    graph_param(b, "h.0.attn.c_attn.weight", &(struct param_info){ .file_ndim = 2, .file_dims = { 8, 24 } },
                4, heads);
    graph_param(b, "h.0.attn.c_attn.bias", &(struct param_info){ .file_ndim = 1, .file_dims = { 24 } }, 3,
                heads + 1);
    graph_param(b, "ln_f.weight", &(struct param_info){ .file_ndim = 1, .file_dims = { 8 } }, 1, heads);
    graph_param(b, "one", &(struct param_info){ .file_ndim = 2, .file_dims = { 1, 1 } }, 3, one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct partition_rules *rules;
    struct graph *g;
    struct builder b;

    log_set_level(LOG_ERROR);
    error_clear();
    if (partition_rules_parse("fuzz", (const char *)data, size, &rules) != OK)
        return 0;
    g = graph_create();
    builder_init(&b, g);
    make_params(&b);
    if (partition_rules_check(rules, g) == OK)
        for (size_t i = 0; i < g->tensor_count; i++)
            for (int a = 0; a < PLACEMENT_AXES; a++) {
                struct placement p;
                if (partition_rules_find(rules, g->tensors[i], (enum axis)a, &p) && p.kind == SHARD &&
                    (p.dim < 0 || p.dim >= g->tensors[i]->ndim))
                    BUG("%s: dim %d", g->tensors[i]->name, p.dim);
            }
    graph_free(g);
    partition_rules_free(rules);
    return 0;
}
