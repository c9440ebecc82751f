/* content -- the hash of what a file holds: XXH3 over the XXH3 hashes of its blocks, so that all threads can
 * read. */
#ifndef PLAIT_DATA_CONTENT_H
#define PLAIT_DATA_CONTENT_H

#include <stdint.h>

enum { CONTENT_BLOCK = 1 << 20, CONTENT_SEED = 0x706c6169 };

/* Of `length` bytes from `offset` on. path is for messages. ERR_IO, also when the file ends before. */
int content_hash(int fd, const char *path, uint64_t offset, uint64_t length, uint64_t *hash);
/* The same from the hashes of the blocks: hash_bytes(block, its length, CONTENT_SEED). */
uint64_t content_hash_blocks(const uint64_t *blocks, uint64_t count, uint64_t length);

#endif
