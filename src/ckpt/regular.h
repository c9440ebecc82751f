/* regular -- reading a small file found inside a model directory or a checkpoint: never a FIFO or a device,
 * which would be waited for, and never more than a limit. (Files that a user names go through file_read.) */
#ifndef PLAIT_CKPT_REGULAR_H
#define PLAIT_CKPT_REGULAR_H

#include <stddef.h>

#include "base/str.h"

enum { REGULAR_MAX_BYTES = 256 << 20 }; /* the index of a million tensors takes about 100 MB */

/* Appends the content. ERR_OPEN, ERR_IO; ERR_DATA when it is larger than REGULAR_MAX_BYTES. */
int regular_read(const char *path, struct str *s);

#endif
