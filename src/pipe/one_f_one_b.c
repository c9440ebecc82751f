/* Narayanan et al., "PipeDream" and "Memory-efficient pipeline-parallel DNN training", 2021: after as many
 * forward passes as there are stages behind it, a rank does one forward and one backward pass in turn. Rank
 * r keeps ranks - r microbatches. */
#include "pipe/schedule.h"

void generate_1f1b(const struct schedule_options *o, struct order rank[])
{
    for (int r = 0; r < o->ranks; r++) {
        int ahead = o->ranks - 1 - r;
        for (int m = 0; m < o->microbatches + ahead; m++) {
            if (m < o->microbatches)
                order_add(&rank[r], INSTRUCTION_FORWARD, 0, m);
            if (m >= ahead)
                order_add(&rank[r], INSTRUCTION_BACKWARD, 0, m - ahead);
        }
    }
}
