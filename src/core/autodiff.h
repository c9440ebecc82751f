/* autodiff -- gradients as nodes. Walks the forward nodes backwards, lets each card emit what makes its
 * inputs' gradients, adds up where a tensor has several readers. Gradients of parameters gather in
 * accumulators (tensor->grad of the parameter is the newest version afterwards). */
#ifndef PLAIT_CORE_AUTODIFF_H
#define PLAIT_CORE_AUTODIFF_H

#include "core/op.h"

/* loss: a scalar made by b's graph. Appends the nodes; the seed of the loss is 1. ERR_CONFIG names the first
 * op on the way that says it has no gradient. Parameters with param->trainable false get no gradient and no W
 * node. */
int autodiff(struct builder *b, struct tensor *loss);

#endif
