/* safetensors -- the weights format of the Hugging Face hub (https://github.com/huggingface/safetensors):
 *
 *     8 bytes  N, little-endian
 *     N bytes  JSON object: "__metadata__": {string: string}, and for each tensor
 *              "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}; may end in spaces
 *     data     offsets count from here; the tensors fill it with no hole and no overlap, in any order
 *
 * A file is untrusted: sizes are checked against the file before memory is taken for them. Messages name
 * file, tensor, found and expected. */
#ifndef PLAIT_CKPT_SAFETENSORS_H
#define PLAIT_CKPT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "ckpt/byte_file.h"
#include "ckpt/element.h"
#include "ckpt/sink.h"

enum { SAFETENSORS_MAX_DIMS = 16, SAFETENSORS_MAX_HEADER = 100000000, SAFETENSORS_MAX_NAME = 4096 };

struct safetensors_tensor {
    const char *name; /* 1 to 4096 bytes of UTF-8 without control characters */
    const struct element *element;
    const int64_t *shape; /* ndim of them */
    int ndim;             /* 0: a scalar */
    int64_t count;        /* elements */
    uint64_t begin, end;  /* bytes in the file (not in the data part) */
};

struct safetensors_metadata {
    const char *key, *value; /* NUL-terminated; what follows a NUL inside is lost */
};

struct safetensors {
    const char *path; /* of `file` */
    uint64_t file_bytes;
    struct safetensors_tensor *tensors; /* in the order of the header */
    size_t count;
    struct safetensors_metadata *metadata;
    size_t metadata_count;
    /* private */
    struct byte_file file;
    uint64_t data_begin;
    struct map names; /* -> index into tensors */
    struct arena memory;
};

/* Reads and checks the header. Symbolic links are followed; "-" reads all of standard input. ERR_OPEN,
 * ERR_DATA. */
int safetensors_open(struct safetensors *st, const char *path);
/* The same on bytes in memory, which are copied. */
int safetensors_open_memory(struct safetensors *st, const char *name, const void *bytes, size_t length);
/* The same on an open file, which is taken over (and closed on failure). */
int safetensors_open_file(struct safetensors *st, struct byte_file *file);
void safetensors_close(struct safetensors *st);

const struct safetensors_tensor *safetensors_find(const struct safetensors *st,
                                                  const char *name);             /* or NULL */
const char *safetensors_metadata(const struct safetensors *st, const char *key); /* or NULL */

/* `length` bytes of the tensor, from byte `offset` of it, as they are in the file. Thread-safe. ERR_IO. */
int safetensors_read(const struct safetensors *st, const struct safetensors_tensor *t, uint64_t offset,
                     void *bytes, size_t length);
/* All elements (t->count of them), converted. ERR_DATA when the element type does not fit. */
int safetensors_read_float(const struct safetensors *st, const struct safetensors_tensor *t, float *out);
int safetensors_read_int64(const struct safetensors *st, const struct safetensors_tensor *t, int64_t *out);

/* Records `PATH: tensor "NAME": ...` (NAME escaped) and returns ERR_DATA. */
int safetensors_fail(const char *path, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writer. All tensors are declared first; then the data of each is written, in the order declared, in as many
 * calls as the caller likes. Errors of the sink are sticky and come out of _end.
 *
 *     safetensors_writer_init(&w, &sink);
 *     safetensors_writer_metadata(&w, "format", "pt");
 *     safetensors_writer_declare(&w, "w", element_named("BF16"), 2, shape);
 *     safetensors_writer_header(&w);
 *     safetensors_writer_floats(&w, values, count);
 *     status = safetensors_writer_end(&w); */
struct safetensors_writer {
    struct sink *sink; /* borrowed */
    struct safetensors_tensor *tensors;
    size_t count, capacity;
    struct safetensors_metadata *metadata;
    size_t metadata_count, metadata_capacity;
    struct map names;
    struct arena memory;
    uint64_t data_bytes, written; /* declared and written so far */
    size_t current;               /* tensor being written */
    int status;
};
void safetensors_writer_init(struct safetensors_writer *w, struct sink *sink);
void safetensors_writer_metadata(struct safetensors_writer *w, const char *key, const char *value);
/* A name declared twice is our own mistake. `shape` may be gone when this returns. */
void safetensors_writer_declare(struct safetensors_writer *w, const char *name, const struct element *e,
                                int ndim, const int64_t *shape);
void safetensors_writer_header(struct safetensors_writer *w);
/* Bytes as they stand in the file. A call may span several tensors. */
void safetensors_writer_bytes(struct safetensors_writer *w, const void *bytes, size_t length);
/* Elements of one tensor, converted to its type. A finite value that does not fit is ERR_DATA. */
void safetensors_writer_floats(struct safetensors_writer *w, const float *values, size_t count);
/* Checks that all declared data came, and frees. Does not close the sink. */
int safetensors_writer_end(struct safetensors_writer *w);

#endif
