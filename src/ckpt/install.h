/* install -- puts the files of a finished model directory into another one, file by file, each by a link or a
 * copy and a rename, config.json last: whoever opens the directory meanwhile finds no config.json, or the old
 * files, or the new. */
#ifndef PLAIT_CKPT_INSTALL_H
#define PLAIT_CKPT_INSTALL_H

#include <stdbool.h>
#include <stddef.h>

/* `names` are plain file names in `from`. Weights files of another save, which would be read together with
 * the new ones, are removed from `to`, and so is the state that goes with them (see manifest.h). `move`:
 * files are renamed instead of linked. ERR_CREATE, ERR_IO. */
int install_files(const char *from, const char *to, const char *const *names, size_t count, bool move);

#endif
