/* Huang et al., "GPipe", 2019: all forward passes, then all backward passes. Every microbatch is kept at
 * once. */
#include "pipe/schedule.h"

void generate_gpipe(const struct schedule_options *o, struct order rank[])
{
    for (int r = 0; r < o->ranks; r++) {
        for (int m = 0; m < o->microbatches; m++)
            order_add(&rank[r], INSTRUCTION_FORWARD, 0, m);
        for (int m = 0; m < o->microbatches; m++)
            order_add(&rank[r], INSTRUCTION_BACKWARD, 0, m);
    }
}
