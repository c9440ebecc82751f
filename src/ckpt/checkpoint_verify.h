/* checkpoint_verify -- private to the checkpoint functions. */
#ifndef PLAIT_CKPT_CHECKPOINT_VERIFY_H
#define PLAIT_CKPT_CHECKPOINT_VERIFY_H

#include "ckpt/checkpoint.h"

/* Reads and checks the manifest file itself. ERR_OPEN, ERR_DATA. */
int checkpoint_read_manifest(const char *path, struct manifest *m);
/* One of its files, in the directory. ERR_DATA, ERR_OPEN, ERR_IO. */
int checkpoint_verify_file(const char *directory, const struct manifest_file *f, enum checkpoint_check how);

#endif
