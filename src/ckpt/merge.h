/* merge -- a checkpoint or a model directory, in whatever form it is, written anew: whole, as transformers
 * opens it, or in the pieces of a layout. */
#ifndef PLAIT_CKPT_MERGE_H
#define PLAIT_CKPT_MERGE_H

#include "ckpt/deal.h"

struct merge_options {
    const struct mesh *mesh;  /* the layout; NULL: whole */
    uint64_t max_shard_bytes; /* of a whole; 0: as weights_save */
    bool state;               /* and what is needed to go on training, where it is there */
};

struct merge_result {
    size_t tensors, files; /* that have been read */
    bool state;            /* there was one */
};

/* Installs (see save.h) what the model directory, or name in a cache, `source` has into `directory`, which
 * may be the same. A megabyte is in memory at a time. result may be NULL. ERR_OPEN, ERR_DATA, ERR_CONFIG,
 * ERR_CREATE, ERR_IO. */
int merge_checkpoint(const char *source, const char *directory, const struct merge_options *o,
                     struct merge_result *result);

#endif
