/* Narayanan et al., "Efficient large-scale language model training on GPU clusters using Megatron-LM",
 * 2021: a rank holds several chunks; microbatches go through them in groups of as many as there are ranks,
 * so that a group's forward passes of one chunk are followed by those of the next. The bubble shrinks by
 * the number of chunks. */
#include "pipe/schedule.h"

/* The k-th forward pass of a rank. */
static struct compute forward_at(const struct schedule_options *o, int k)
{
    int group = k / (o->ranks * o->chunks), in_group = k % (o->ranks * o->chunks);

    return (struct compute){ INSTRUCTION_FORWARD, in_group / o->ranks,
                             group * o->ranks + in_group % o->ranks };
}

void generate_interleaved(const struct schedule_options *o, struct order rank[])
{
    int total = o->microbatches * o->chunks;

    for (int r = 0; r < o->ranks; r++) {
        int ahead = 2 * (o->ranks - 1 - r) + (o->chunks - 1) * o->ranks;
        for (int k = 0; k < total + ahead; k++) {
            struct compute c = k < total ? forward_at(o, k) : (struct compute){ 0 };
            if (k < total)
                order_add(&rank[r], INSTRUCTION_FORWARD, c.chunk, c.microbatch);
            if (k < ahead)
                continue;
            c = forward_at(o, k - ahead);
            order_add(&rank[r], INSTRUCTION_BACKWARD, o->chunks - 1 - c.chunk, c.microbatch);
        }
    }
}
