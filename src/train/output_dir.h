/* output_dir -- the directory of a run: who may use it, what an old run left in it, and from which checkpoint
 * a run goes on. */
#ifndef PLAIT_TRAIN_OUTPUT_DIR_H
#define PLAIT_TRAIN_OUTPUT_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include "ckpt/lock.h"

struct output_dir_options {
    const char *path;
    const char *resume; /* NULL; "true", "auto", or a checkpoint */
    bool overwrite;
    bool training;             /* else what is in there may stay as it is */
    bool dry;                  /* nothing is made, locked or removed */
    bool by_sizes;             /* bytes of a checkpoint are not looked at: the caller sees to it */
    const char *const *inputs; /* what the run reads and may not be removed; entries may be NULL */
    size_t input_count;
};

struct output_dir {
    struct lock lock;
    char *checkpoint; /* to go on from; NULL: start anew */
    char *created;    /* the path, where there was none before */
};

/* ERR_CREATE; ERR_STOPPED when another run has it; ERR_OPEN, ERR_DATA when there is no good checkpoint. */
int output_dir_open(struct output_dir *d, const struct output_dir_options *o);
void output_dir_close(struct output_dir *d);
/* The checkpoint once more, in an open directory. */
int output_dir_find(struct output_dir *d, const struct output_dir_options *o);

#endif
