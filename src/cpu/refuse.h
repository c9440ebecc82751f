/* refuse -- reasons for which the fast kernels leave a node to the reference. NULL: none. */
#ifndef PLAIT_CPU_REFUSE_H
#define PLAIT_CPU_REFUSE_H

#include "core/kernel.h"

/* The first `inputs` inputs and all outputs must be fp32. */
static inline const char *refuse_other_than_f32(const struct node *n, int inputs)
{
    for (int i = 0; i < n->nin && i < inputs; i++)
        if (n->in[i] && n->in[i]->dtype != DT_F32)
            return "an input is not fp32";
    for (int j = 0; j < n->nout; j++)
        if (n->out[j] && n->out[j]->dtype != DT_F32)
            return "an output is not fp32";
    return NULL;
}

/* For kernels that only store. */
static inline const char *refuse_sums(const struct node *n)
{
    for (int j = 0; j < n->nout; j++)
        if (n->accumulate[j])
            return "adds to its output";
    return NULL;
}

static inline const char *refuse_all_but_plain_f32(const struct node *n, int inputs)
{
    const char *why = refuse_other_than_f32(n, inputs);
    return why ? why : refuse_sums(n);
}

#endif
