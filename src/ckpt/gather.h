/* gather -- tensors that lie in the stores of all ranks, whole and one at a time on the first rank, to be
 * written or compared. The first rank asks for what it wants; the others serve until it has done its work.
 * What several ranks hold alike is taken from the first of them. */
#ifndef PLAIT_CKPT_GATHER_H
#define PLAIT_CKPT_GATHER_H

#include "ckpt/save.h"
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

struct gather_save_options {
    const char *base; /* of the files' names, see ckpt/pieces.h */
    enum tensor_kind tensors;
    const char *dtype; /* as weights_save_options */
    enum manifest_kind kind;
    const char *tag; /* names the save */
};
/* All tensors of a kind into an open save, in pieces: every rank writes what it has, at the same time, and
 * nothing is sent but names and checksums. One rank's failure is that of all, with its sentence. */
int gather_save(struct gather *g, struct save *s, const struct gather_save_options *o);

/* One rank's part of a tensor into its place in the whole one. false: the rank has none. */
int gather_part(struct gather *g, int rank, const char *name, float *whole, bool *there);

#endif
