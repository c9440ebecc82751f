/* lock -- one run at a time in an output directory: a locked file .plait-lock in it, which says who holds it.
 * The kernel releases the lock however the process ends. */
#ifndef PLAIT_CKPT_LOCK_H
#define PLAIT_CKPT_LOCK_H

struct lock {
    int fd; /* -1: not held */
    char *path;
};

/* The directory exists. ERR_STOPPED (try again later) when another run has it; its process, host and job are
 * named. A file system that has no locks gives a warning and no lock. */
int lock_take(struct lock *l, const char *directory);
void lock_release(struct lock *l); /* removes the file */

#endif
