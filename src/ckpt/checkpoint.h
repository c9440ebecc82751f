/* checkpoint -- the saved states of a run: directories checkpoint-STEP in its output directory. There is no
 * file that names the newest: the newest is the one with the highest step whose manifest verifies. Only what
 * was made by ckpt/save is ever removed. */
#ifndef PLAIT_CKPT_CHECKPOINT_H
#define PLAIT_CKPT_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "ckpt/manifest.h"

enum checkpoint_check {
    CHECKPOINT_SIZES,     /* manifest, presence and sizes */
    CHECKPOINT_CHECKSUMS, /* and every byte */
};

/* ERR_DATA or ERR_OPEN with what is wrong. The manifest goes to *m, if not NULL, to be released by the
 * caller. */
int checkpoint_verify(const char *path, enum checkpoint_check how, struct manifest *m);

/* One rank's part of that: with all parts, every byte. */
int checkpoint_verify_part(const char *path, int rank, int ranks);

struct checkpoint_entry {
    char *path;
    int64_t step;
};
struct checkpoint_list {
    struct checkpoint_entry *items; /* by step, ascending; good or not */
    size_t count;
};
int checkpoint_list_load(struct checkpoint_list *l,
                         const char *directory); /* none when there is no such directory */
void checkpoint_list_release(struct checkpoint_list *l);

/* The newest that verifies; each that does not is told by a warning. None at all: OK and *path NULL.
 * Some, but none good: ERR_DATA with every reason. The caller frees *path. */
int checkpoint_newest(const char *directory, enum checkpoint_check how, char **path);

/* Keeps the newest `keep` (at least 1) that verify by size, those newer than them, `protect` (a path, or
 * NULL), and what is not plait's; removes the rest. `*removed` may be NULL. */
int checkpoint_prune(const char *directory, int64_t keep, const char *protect, size_t *removed);

/* What killed saves and prunings left behind; the caller holds the directory's lock. A displaced checkpoint
 * that has no successor comes back under its name. *count: how many were removed. */
int checkpoint_clean(const char *directory, size_t *count);

/* Makes the model files of a checkpoint those of the directory: linked (copied where links are not possible)
 * file by file, config.json last. */
int checkpoint_publish(const char *checkpoint, const char *directory);

/* "checkpoint-900" -> 900; -1 for any other name. */
int64_t checkpoint_step(const char *name);

#endif
