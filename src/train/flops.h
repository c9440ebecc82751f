/* flops -- how much a token costs, and how much this machine could do at best: what the log calls "mfu" is
 * the quotient (Chowdhery et al. 2022, PaLM, appendix B). */
#ifndef PLAIT_TRAIN_FLOPS_H
#define PLAIT_TRAIN_FLOPS_H

#include "core/kernel.h"
#include "plan/plan.h"

/* Of one token row, forward and backward: 6 for each weight of a matrix product, 6 x width x T for each
 * layer's causal attention. Nothing that is computed again counts. */
double flops_row(const struct plan *p, const struct model_sizes *sizes, int64_t T);
/* fp32, per second, of `threads` cores: two vector units at the processor's clock; 0 when that is not known.
 */
double flops_peak(const struct machine *m, int threads);

#endif
