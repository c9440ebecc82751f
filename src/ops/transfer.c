/* transfer -- values that go from one stage of a pipeline to another. The cut puts them in after
 * differentiation and sharding, so they have neither gradient nor rules; they are programs of their own,
 * whose nodes the executor hands to comm instead of running a kernel. */
#include "ops/card.h"

static int infer(const struct node *n, struct tensor out[])
{
    (void)n;
    (void)out;
    return OK;
}

const struct op_def op_send = {
    .name = "send",
    .inputs = { "x" },
    .attrs = { { "stage", 0 }, { "tag", 0 }, { "keeps_f32", 0 } },
    .infer = infer,
    .no_gradient = true,
};

const struct op_def op_receive = {
    .name = "receive",
    .outputs = { "x" },
    .attrs = { { "stage", 0 }, { "tag", 0 }, { "keeps_f32", 0 } },
    .infer = infer,
    .no_gradient = true,
};
