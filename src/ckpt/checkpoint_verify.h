/* checkpoint_verify -- private to the checkpoint functions. */
#ifndef PLAIT_CKPT_CHECKPOINT_VERIFY_H
#define PLAIT_CKPT_CHECKPOINT_VERIFY_H

#include "ckpt/manifest.h"

/* Reads and checks the manifest file itself. ERR_OPEN, ERR_DATA. */
int checkpoint_read_manifest(const char *path, struct manifest *m);

#endif
