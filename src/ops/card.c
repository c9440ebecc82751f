#include "ops/card.h"

void card_shard_elementwise(const struct node *n, struct shard_rules *r, bool linear)
{
    struct placement in[MAX_RULE_INPUTS], out[MAX_OUTPUTS];

    for (int d = -linear; d < n->in[0]->ndim; d++) {
        struct placement p = d < 0 ? ON_SUM : ON_SHARD(d);
        for (int i = 0; i < n->nin; i++)
            in[i] = p;
        for (int j = 0; j < n->nout; j++)
            out[j] = p;
        shard_rules_add(r, n, in, out, d >= 0); /* of a sum every rank works on all entries */
    }
}
