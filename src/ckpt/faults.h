/* faults -- all that is wrong with a checkpoint or a model directory, for somebody who wants to know. (Who
 * wants to use one asks checkpoint_verify, which ends at the first fault.) */
#ifndef PLAIT_CKPT_FAULTS_H
#define PLAIT_CKPT_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct faults {
    size_t count;
    /* What was looked at. */
    bool manifest; /* there is one: its files' sizes and checksums */
    size_t files, tensors, weights_files;
    uint64_t bytes;
    bool state; /* of a run that can go on */
};

/* Every byte of every file of the manifest is read; pieces must cover each tensor once, the weights be those
 * of the config, the optimizer's state that of its parameters. tell: one sentence for each fault. ERR_OPEN
 * when there is no such directory. */
int faults_find(const char *directory, void (*tell)(void *context, const char *sentence), void *context,
                struct faults *out);

#endif
