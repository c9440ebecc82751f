/* optimizer_state -- AdamW's two moments of each parameter, optimizer.safetensors: exp_avg.NAME and
 * exp_avg_sq.NAME, float32, in the dims of the parameter's file tensor. */
#ifndef PLAIT_CKPT_OPTIMIZER_STATE_H
#define PLAIT_CKPT_OPTIMIZER_STATE_H

#include <stddef.h>

#include "ckpt/save.h"
#include "ckpt/weights.h"
#include "ckpt/weights_save.h"

#define OPTIMIZER_STATE_NAME "optimizer.safetensors"

/* Entry i of both lists is parameter i, under the parameter's own name. */
int optimizer_state_save(struct save *s, const struct weights_param *exp_avg,
                         const struct weights_param *exp_avg_sq, size_t count);

enum optimizer_moment { OPTIMIZER_EXP_AVG, OPTIMIZER_EXP_AVG_SQ };
/* Opens the file in a checkpoint; read with optimizer_state_get and weights_read, close with weights_close.
 */
int optimizer_state_open(struct weights *w, const char *checkpoint);
int optimizer_state_get(struct weights *w, enum optimizer_moment moment, const char *param,
                        struct weights_tensor **t);

#endif
