/* Qi et al., "Zero bubble pipeline parallelism", 2024, the schedule ZB-H1: 1f1b, but weight gradients are
 * passes of their own and lag behind by as many microbatches as there are ranks before this one. So input
 * gradients reach the ranks before it sooner, and what lags fills the end. A rank keeps as many
 * microbatches for their input gradients as with 1f1b, and for their weight gradients as many as rank 0
 * does there. */
#include "pipe/schedule.h"

void generate_zero_bubble(const struct schedule_options *o, struct order rank[])
{
    for (int r = 0; r < o->ranks; r++) {
        int ahead = o->ranks - 1 - r;
        for (int m = 0; m < o->microbatches + ahead + r; m++) {
            if (m < o->microbatches)
                order_add(&rank[r], INSTRUCTION_FORWARD, 0, m);
            if (m >= ahead && m - ahead < o->microbatches)
                order_add(&rank[r], INSTRUCTION_BACKWARD_INPUT, 0, m - ahead);
            if (m >= ahead + r)
                order_add(&rank[r], INSTRUCTION_BACKWARD_WEIGHT, 0, m - ahead - r);
        }
    }
}
