/* unpack -- the bytes of a file that may be compressed, from its beginning on, as a stream.
 *
 * gzip (RFC 1952: several members, zeros after the last) by zlib, zstd (RFC 8878: several frames) by libzstd,
 * with their checksums; a zstd window of more than 128 MiB (zstd --long beyond 27) is refused, so that memory
 * stays small. Which of them a build has is decided when it is configured. */
#ifndef PLAIT_DATA_UNPACK_H
#define PLAIT_DATA_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD, PACKING_COUNT };

extern const char *const packing_names[PACKING_COUNT];   /* "gzip" */
extern const char *const packing_endings[PACKING_COUNT]; /* ".gz"; "" for none */

bool packing_is_built(enum packing packing); /* this build can read it */

struct unpacker;

/* fd and path are borrowed; the file's place is not used. ERR_CONFIG: this build cannot read it. */
int unpacker_create(enum packing packing, int fd, const char *path, struct unpacker **out);
void unpacker_free(struct unpacker *u);
/* Up to `length` bytes more; fewer only at the end. ERR_DATA: damaged or cut off, with the place in the file;
 * ERR_IO. */
int unpacker_read(struct unpacker *u, void *bytes, size_t length, size_t *count);
/* All that is left, to another file. */
int unpacker_copy(struct unpacker *u, int to, const char *to_path);

#endif
