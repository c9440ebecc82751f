/* manifest -- what a checkpoint consists of. manifest.json is written last, so a directory with a right one
 * is complete:
 *
 *     {"format": "plait checkpoint", "version": 1, "run": "3f2a...", "step": 900,
 *      "notes": {"data": "9c1d..."},
 *      "chunk_bytes": 4194304,
 *      "files": [{"name": "config.json", "kind": "model", "bytes": 690, "xxh3": ["0123456789abcdef"]}, ...],
 *      "checksum": "fedcba9876543210"}
 *
 * "xxh3" holds one checksum for each chunk; "checksum" is XXH3 of all bytes of the file before that key's
 * quote. */
#ifndef PLAIT_CKPT_MANIFEST_H
#define PLAIT_CKPT_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

enum { MANIFEST_VERSION = 1 };
#define MANIFEST_NAME "manifest.json"

/* MODEL: part of a model directory. STATE: needed to go on training only. */
enum manifest_kind { MANIFEST_MODEL, MANIFEST_STATE };

struct manifest_file {
    const char *name;
    enum manifest_kind kind;
    uint64_t bytes;
    const uint64_t *chunks; /* checksum_chunks(bytes) of them */
};

struct manifest_note {
    const char *key, *value;
};

struct manifest {
    const char *run; /* names the run; "" when unknown */
    int64_t step;
    struct manifest_file *files;
    size_t count, capacity;
    struct manifest_note *notes;
    size_t note_count, note_capacity;
    struct map names;    /* of the files -> index */
    struct arena memory; /* of the strings and checksums */
};

void manifest_init(struct manifest *m);
void manifest_release(struct manifest *m);
/* Name and chunks are copied. A name that is there already is our own mistake. */
void manifest_add(struct manifest *m, const struct manifest_file *f);
void manifest_add_note(struct manifest *m, const char *key, const char *value);
const struct manifest_file *manifest_find(const struct manifest *m, const char *name); /* NULL when absent */
const char *manifest_note(const struct manifest *m, const char *key);                  /* NULL when absent */

void manifest_write(const struct manifest *m, struct str *out);
/* `path` is for messages. The manifest need not be initialised; it is released on failure. ERR_DATA. */
int manifest_parse(struct manifest *m, const char *path, const char *bytes, size_t length);

#endif
