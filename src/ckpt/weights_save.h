/* weights_save -- writes parameters as transformers' save_pretrained does: BASE.safetensors, or, beyond the
 * size of a shard, BASE-00001-of-00002.safetensors ... and BASE.safetensors.index.json. Tensors within a file
 * are sorted by name and the header has no spaces, so the bytes are those the safetensors library writes. */
#ifndef PLAIT_CKPT_WEIGHTS_SAVE_H
#define PLAIT_CKPT_WEIGHTS_SAVE_H

#include <stddef.h>
#include <stdint.h>

#include "ckpt/save.h"

struct weights_param {
    const char *name;
    int ndim;
    const int64_t *shape; /* in dims of the file */
    const float *data;    /* row-major without gaps; or NULL, and then: */
    /* Gives elements [first, first + count) in row-major order of the file's dims. */
    int (*read)(const struct weights_param *p, int64_t first, int64_t count, float *out);
    void *context; /* for `read` */
};

struct weights_save_options {
    const char *base;         /* NULL: "model" */
    const char *dtype;        /* "F32", "BF16" or "F16"; NULL: "F32". ERR_CONFIG for others */
    uint64_t max_shard_bytes; /* 0: 50 GB, as transformers 5 */
    enum manifest_kind kind;
    const char *tag; /* names the save in each shard's metadata, "step 900"; NULL: none */
};

/* A finite value that is infinite in the type asked for is ERR_DATA. */
int weights_save(struct save *s, const struct weights_param *params, size_t count,
                 const struct weights_save_options *o);

/* Bytes on disk that weights_save will take, to a little more. */
uint64_t weights_save_bytes(const struct weights_param *params, size_t count,
                            const struct weights_save_options *o);

/* "F32" from HF's "float32", "fp32", "F32", and so on; NULL when it is none that can be saved. */
const char *weights_save_dtype(const char *name);

#endif
