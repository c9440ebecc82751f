/* optimizer_state -- what the optimizer remembers of each parameter, optimizer.safetensors, float32 and in
 * the dims of the parameter's file tensor: AdamW's exp_avg.NAME and exp_avg_sq.NAME; Adafactor's
 * exp_avg_sq.NAME, or of matrices exp_avg_sq_row.NAME and exp_avg_sq_col.NAME, one entry a row and a column.
 */
#ifndef PLAIT_CKPT_OPTIMIZER_STATE_H
#define PLAIT_CKPT_OPTIMIZER_STATE_H

#include <stddef.h>

#include "ckpt/save.h"
#include "ckpt/weights.h"
#include "ckpt/weights_save.h"

#define OPTIMIZER_STATE_BASE "optimizer"
/* The weights in float32, where the model's files hold fewer bits. */
#define MASTER_BASE "master"

/* The states under their full names. */
int optimizer_state_save(struct save *s, const struct weights_param *states, size_t count);
/* Opens the file in a checkpoint, or its pieces; read with weights_get and weights_read, close with
 * weights_close. */
int optimizer_state_open(struct weights *w, const char *checkpoint);

/* "exp_avg.NAME" -> "NAME"; NULL when the name is none of these. */
const char *optimizer_state_param(const char *name);

#endif
