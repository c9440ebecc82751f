/* gather -- tensors that lie in the stores of all ranks, whole and one at a time on the first rank, to be
 * written or compared. The first rank asks for what it wants; the others serve until it has done its work.
 * What several ranks hold alike is taken from the first of them. */
#ifndef PLAIT_CKPT_GATHER_H
#define PLAIT_CKPT_GATHER_H

#include "ckpt/weights_save.h"
#include "comm/comm.h"
#include "exec/exec.h"

struct gather;

/* On all ranks (comm NULL: there is one). fn runs on the first rank alone; its status is everybody's, and the
 * others have nothing to tell of it. The stores must be at rest on all ranks. */
int gather_run(struct comm *comm, const struct store *store, int (*fn)(void *context, struct gather *g),
               void *context);

/* ---- within fn ---- */

/* All tensors of a kind under their stored names, as weights_save takes them; freed with mem_free before fn
 * returns. Values are fetched when they are asked for: room for one whole tensor is taken. */
struct weights_param *gather_params(struct gather *g, enum tensor_kind kind, size_t *count);

/* One rank's part of a tensor into its place in the whole one. false: the rank has none. */
int gather_part(struct gather *g, int rank, const char *name, float *whole, bool *there);

#endif
