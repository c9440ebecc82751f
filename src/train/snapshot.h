/* snapshot -- checkpoints of a run: the model as transformers opens it, the optimizer's moments, where the
 * run stands. Where the model's files hold fewer bits than training has (--save_dtype), master.safetensors
 * keeps all of them, so that a run goes on bit for bit. */
#ifndef PLAIT_TRAIN_SNAPSHOT_H
#define PLAIT_TRAIN_SNAPSHOT_H

#include "ckpt/gather.h"
#include "train/run.h"

/* About what a checkpoint takes on disk; ERR_CREATE when the output directory has less room. */
int snapshot_bytes(struct run *r, uint64_t *bytes);

/* On every rank, before the first one saves: refuses (ERR_DATA) a store with a value that is not finite. */
int snapshot_check(const struct worker *w);
/* Saves checkpoint-STEP of r->state and the tensors of all ranks. */
int snapshot_save(struct run *r, struct gather *g);
/* The same model without a checkpoint, straight into the output directory. */
int snapshot_save_model(struct run *r, struct gather *g);

/* Weights and moments of a checkpoint into one rank's store. Thread-safe for different stores. */
int snapshot_load(const struct model *model, const char *checkpoint, struct store *store);

#endif
