/* merge -- a checkpoint in pieces made whole: the form that transformers opens. */
#ifndef PLAIT_CKPT_MERGE_H
#define PLAIT_CKPT_MERGE_H

#include <stdbool.h>
#include <stdint.h>

struct merge_options {
    uint64_t max_shard_bytes; /* 0: as weights_save */
    bool state;               /* and what is needed to go on training, where it is there */
};

/* Installs the model (see save.h) of the checkpoint or model directory `source`, in whatever form it is,
 * into `directory`. A megabyte of it is in memory at a time. *state (may be NULL): whether there was one.
 * ERR_OPEN, ERR_DATA, ERR_CREATE, ERR_IO. */
int merge_checkpoint(const char *source, const char *directory, const struct merge_options *o, bool *state);

#endif
