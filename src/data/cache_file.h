/* cache_file -- the form of a token cache: a page with the header, then the tokens (16 or 32 bits each),
 * the labels (32 bits each), token types (8 bits each) and what is said of whole documents (words of 32
 * bits), as far as there are any, and the ends of the documents (64 bits each), each part on a multiple of
 * 8 bytes. In the order of bytes of the machine that wrote it: a cache does not travel. */
#ifndef PLAIT_DATA_CACHE_FILE_H
#define PLAIT_DATA_CACHE_FILE_H

#include <stddef.h>
#include <stdint.h>

enum { CACHE_VERSION = 2, CACHE_PAGE = 4096 };

struct cache_header {
    char magic[8];
    uint32_t version, order; /* order: 0x01020304 */
    uint64_t key, tokens, documents, labels, empty, bad, data_bytes;
    int64_t max_id;
    uint32_t width, labelled;
    uint32_t typed, pairs, words, unused; /* words: of each document */
    uint64_t content;                     /* content_hash of all that follows the page */
    uint64_t check;                       /* hash of the header up to here */
};

struct cache_layout { /* offsets in the file */
    uint64_t tokens, labels, types, words, ends, size;
};

/* Completes magic, version, order and check. */
void cache_header_seal(struct cache_header *h);
/* ERR_DATA when the header cannot be one of ours; else the layout its counts give. path is for messages. */
int cache_header_check(const struct cache_header *h, const char *path, struct cache_layout *layout);

/* Writes what follows the page, and its hash on the way. */
struct cache_writer {
    int fd;
    const char *path; /* borrowed */
    char *buffer;     /* a block of content.h */
    size_t fill;
    uint64_t *blocks; /* hashes of those written */
    size_t block_count, block_capacity;
    uint64_t length;
};
void cache_writer_init(struct cache_writer *w, int fd, const char *path);
void cache_writer_release(struct cache_writer *w);
int cache_writer_add(struct cache_writer *w, const void *bytes, size_t length);
int cache_writer_align(struct cache_writer *w); /* to a multiple of 8 */
/* Writes the rest, then the header (sealed here, with the hash of the content). */
int cache_writer_end(struct cache_writer *w, struct cache_header *h);

/* A part that is kept aside until the parts before it are complete: a nameless file. */
struct cache_part {
    int fd;
    const char *directory; /* borrowed */
    char *buffer;
    size_t fill;
    uint64_t length;
};
void cache_part_init(struct cache_part *p, const char *directory);
void cache_part_release(struct cache_part *p);
int cache_part_add(struct cache_part *p, const void *bytes, size_t length);
int cache_part_copy(struct cache_part *p, struct cache_writer *w); /* all of it, and aligns */

#endif
