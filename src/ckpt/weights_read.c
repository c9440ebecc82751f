/* Reading a part of a tensor. The part is a strided box in the file. It is read in spans: runs of bytes of at
 * most SPAN_BYTES that begin and end with a wanted element, gaps included, each with one system call; from
 * there a strided copy takes what is wanted. Along the outermost dim as many indices as fit are taken at
 * once; where a single one does not fit, the next dim is cut. Wanted bytes without gaps go straight to their
 * place. */
#include <string.h>

#include "base/err.h"
#include "ckpt/weights.h"

enum { SPAN_BYTES = 1 << 20 };

struct reading {
    const struct weights_tensor *t;
    struct box_view from, to; /* from: the span in `buffer`, in the strides of the file */
    int64_t element_bytes;
    char *buffer;
};

/* Elements of the file from the box's first to its last, both included. */
static int64_t span_count(const struct reading *r, const struct box *b)
{
    int64_t count = 1;
    for (int d = 0; d < b->ndim; d++)
        count += (b->size[d] - 1) * r->from.stride[d];
    return count;
}

static int read_span(struct reading *r, const struct box *b, int64_t count)
{
    int64_t first = 0;
    for (int d = 0; d < b->ndim; d++)
        first += b->start[d] * r->from.stride[d];
    TRY(safetensors_read(r->t->file, r->t->info, (uint64_t)(first * r->element_bytes), r->buffer,
                         (size_t)(count * r->element_bytes)));
    r->from.box = *b;
    box_copy(&r->to, &r->from);
    return OK;
}

/* Reads the box, of which dims before d have size 1. */
static int read_box(struct reading *r, const struct box *b, int d)
{
    int64_t count = span_count(r, b), limit = SPAN_BYTES / r->element_bytes;
    if (count <= limit)
        return read_span(r, b, count);
    if (b->size[d] == 1)
        return read_box(r, b, d + 1);
    int64_t inner = count - (b->size[d] - 1) * r->from.stride[d];
    int64_t step = inner < limit ? (limit - inner) / r->from.stride[d] + 1 : 1;
    struct box part = *b;
    for (int64_t at = 0; at < b->size[d]; at += step) {
        part.start[d] = b->start[d] + at;
        part.size[d] = b->size[d] - at < step ? b->size[d] - at : step;
        TRY(read_box(r, &part, d));
    }
    return OK;
}

static bool is_contiguous(const struct box *b, const int64_t *stride)
{
    int64_t expected = 1;
    for (int d = b->ndim - 1; d >= 0; d--) {
        if (b->size[d] != 1 && stride[d] != expected)
            return false;
        expected *= b->size[d];
    }
    return true;
}

int weights_read(const struct weights_tensor *t, const struct box *box, float *out, const int64_t *stride)
{
    struct reading r = { .t = t };
    const struct safetensors_tensor *info = t->info;
    if (info->element->kind != ELEMENT_FLOAT)
        return safetensors_fail(t->file->path, t->name, "elements are %s, expected F32, F64, F16 or BF16",
                                info->element->name);
    box_whole(&r.from.box, info->ndim, info->shape);
    box_view_contiguous(&r.from);
    r.to = (struct box_view){ .element = element_named("F32"),
                              .data = out,
                              .box = box != NULL ? *box : r.from.box };
    if (!box_contains(&r.from.box, &r.to.box))
        BUG("%s: tensor %s: a box beyond the tensor", t->file->path, t->name);
    if (stride != NULL && info->ndim > 0)
        memcpy(r.to.stride, stride, (size_t)info->ndim * sizeof(*stride));
    else
        box_view_contiguous(&r.to);
    if (box_count(&r.to.box) == 0)
        return OK;

    r.from.element = info->element;
    r.element_bytes = info->element->bits / 8;
    int64_t count = span_count(&r, &r.to.box), wanted = box_count(&r.to.box);
    if (info->element->bits == 32 && count == wanted && is_contiguous(&r.to.box, r.to.stride)) {
        r.buffer = (char *)out;
        int64_t first = 0;
        for (int d = 0; d < info->ndim; d++)
            first += r.to.box.start[d] * r.from.stride[d];
        return safetensors_read(t->file, info, (uint64_t)first * 4, out, (size_t)count * 4);
    }
    r.buffer = mem_alloc(SPAN_BYTES);
    r.from.data = r.buffer;
    struct box whole = r.to.box;
    int status = read_box(&r, &whole, 0);
    mem_free(r.buffer);
    return status;
}
