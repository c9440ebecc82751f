/* cache_lock -- one process (or in-process rank) at a time makes a cache, the others wait. The system gives
 * the lock back when its holder ends, however it ends. Where a file system knows no locks, everybody works:
 * the cache is renamed into place, so that is only a waste. */
#ifndef PLAIT_DATA_CACHE_LOCK_H
#define PLAIT_DATA_CACHE_LOCK_H

#include <stdbool.h>

struct cache_lock {
    char *path;
    int fd;
    bool held;
};

int cache_lock_begin(struct cache_lock *l, const char *path); /* waits, with a note; ERR_CREATE */
void cache_lock_end(struct cache_lock *l);                    /* and removes the file */

#endif
