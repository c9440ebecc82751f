/* checksum -- XXH3 (64 bits) of each CHECKSUM_CHUNK bytes of a file, taken while it is written: a flipped bit
 * is found and its place is known to one chunk, and chunks can be checked in parallel. */
#ifndef PLAIT_CKPT_CHECKSUM_H
#define PLAIT_CKPT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

enum { CHECKSUM_CHUNK = 4 << 20 };

struct checksum {
    uint64_t *chunks; /* of the chunks completed; the last may be shorter than the others */
    size_t count, capacity;
    uint64_t bytes; /* in all */
    void *state;    /* of the chunk that has begun, NULL at first */
};

void checksum_init(struct checksum *c);
void checksum_release(struct checksum *c);
void checksum_add(struct checksum *c, const void *bytes, size_t length);
void checksum_end(struct checksum *c); /* completes the last chunk */

size_t checksum_chunks(uint64_t bytes); /* how many chunks a file of this size has */
/* Compares a file of the right size with its chunks. *bad: the first chunk that differs, or -1. ERR_OPEN,
 * ERR_IO. */
int checksum_verify(const char *path, uint64_t bytes, const uint64_t *chunks, int64_t *bad);
/* The same of every `step`th chunk from `first` on. */
struct checksum_part {
    uint64_t first, step;
};
int checksum_verify_part(const char *path, uint64_t bytes, const uint64_t *chunks, struct checksum_part part,
                         int64_t *bad);

#endif
