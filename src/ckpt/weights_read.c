/* Reading a part of a tensor. The part is a strided box in the file. It is read in spans: runs of bytes of at
 * most SPAN_BYTES that begin and end with a wanted element, gaps included, each with one system call; from
 * there a strided copy takes what is wanted. Along the outermost dim as many indices as fit are taken at
 * once; where a single one does not fit, the next dim is cut. Wanted bytes without gaps go straight to their
 * place. */
#include <string.h>

#include "base/err.h"
#include "ckpt/pieces.h"
#include "ckpt/weights.h"

enum { SPAN_BYTES = 1 << 20 };

/* Dims are in the order of their strides in the file, the largest first: a transposed tensor is read as it
 * lies. */
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

static int64_t first_element(const struct reading *r, const struct box *b)
{
    int64_t first = 0;
    for (int d = 0; d < b->ndim; d++)
        first += b->start[d] * r->from.stride[d];
    return first;
}

static int read_span(struct reading *r, const struct box *b, int64_t count)
{
    TRY(weights_file_read(r->t, first_element(r, b), count, r->buffer));
    r->from.box = *b;
    box_copy(&r->to, &r->from);
    return OK;
}

/* How many of dim d go into one span: what is wanted of a single one takes `inner` elements. Only one where a
 * gap takes longer to read than a call of the system. */
static int64_t span_step(const struct reading *r, int d, int64_t inner, int64_t limit)
{
    enum { GAP_BYTES = 2048 };
    int64_t stride = r->from.stride[d];
    if (inner >= limit || stride - inner >= GAP_BYTES / r->element_bytes)
        return 1;
    return (limit - inner) / stride + 1;
}

/* Reads the box, of which dims before d have size 1. */
static int read_box(struct reading *r, const struct box *b, int d)
{
    int64_t count = span_count(r, b), limit = SPAN_BYTES / r->element_bytes;
    if (count <= limit)
        return read_span(r, b, count);
    if (b->size[d] == 1)
        return read_box(r, b, d + 1);
    int64_t step = span_step(r, d, count - (b->size[d] - 1) * r->from.stride[d], limit);
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

static void swap(int64_t *a, int64_t *b)
{
    int64_t t = *a;
    *a = *b;
    *b = t;
}

/* Insertion sort: files have few dims, nearly always in this order already. */
static void sort_dims(struct reading *r)
{
    struct box_view *from = &r->from, *to = &r->to;
    for (int i = 1; i < to->box.ndim; i++) {
        for (int d = i; d > 0 && from->stride[d] > from->stride[d - 1]; d--) {
            swap(&from->stride[d], &from->stride[d - 1]);
            swap(&to->stride[d], &to->stride[d - 1]);
            swap(&to->box.start[d], &to->box.start[d - 1]);
            swap(&to->box.size[d], &to->box.size[d - 1]);
        }
    }
}

bool weights_same_place(const struct weights_tensor *a, const struct weights_tensor *b)
{
    const struct safetensors_tensor *x = a->info, *y = b->info;
    if (a->file != b->file || a->chunks != NULL || b->chunks != NULL || a->pieces != NULL ||
        b->pieces != NULL || x->begin != y->begin || x->element != y->element || x->ndim != y->ndim ||
        (a->stride == NULL) != (b->stride == NULL))
        return false;
    for (int d = 0; d < x->ndim; d++) {
        if (x->shape[d] != y->shape[d] || (a->stride != NULL && a->stride[d] != b->stride[d]))
            return false;
    }
    return true;
}

int weights_check_float(const struct weights_tensor *t)
{
    if (t->info->element->kind == ELEMENT_FLOAT)
        return OK;
    return safetensors_fail(t->file->path, t->name, "elements are %s, expected F32, F64, F16 or BF16",
                            t->info->element->name);
}

int weights_read(const struct weights_tensor *t, const struct box *box, float *out, const int64_t *stride)
{
    struct reading r = { .t = t, .element_bytes = t->info->element->bits / 8 };
    const struct safetensors_tensor *info = t->info;
    size_t dims = (size_t)info->ndim * sizeof(*stride);
    TRY(weights_check_float(t));
    r.from.element = info->element;
    box_whole(&r.from.box, info->ndim, info->shape);
    box_view_contiguous(&r.from);
    r.to = (struct box_view){ .element = element_named("F32"),
                              .data = out,
                              .box = box != NULL ? *box : r.from.box };
    if (!box_contains(&r.from.box, &r.to.box))
        BUG("%s: tensor %s: a box beyond the tensor", t->file->path, t->name);
    box_view_contiguous(&r.to);
    if (stride != NULL)
        memcpy(r.to.stride, stride, dims);
    if (t->stride != NULL)
        memcpy(r.from.stride, t->stride, dims);
    if (box_count(&r.to.box) == 0)
        return OK;
    if (t->pieces != NULL)
        return pieces_read(t, &r.to.box, out, r.to.stride);
    sort_dims(&r);

    struct box whole = r.to.box;
    int64_t count = span_count(&r, &whole);
    if (info->element->bits == 32 && count == box_count(&whole) && is_contiguous(&whole, r.to.stride) &&
        is_contiguous(&whole, r.from.stride))
        return weights_file_read(t, first_element(&r, &whole), count, out);
    r.buffer = mem_alloc(SPAN_BYTES);
    r.from.data = r.buffer;
    int status = read_box(&r, &whole, 0);
    mem_free(r.buffer);
    return status;
}

/* ---- ranges ---- */

struct range {
    const struct weights_tensor *t;
    float *out; /* of the next element */
};

/* `count` elements from `first` on of the part of the tensor that the dims before d of `b` choose: rest of a
 * first row, whole rows, beginning of a last one. */
static int read_range(struct range *r, struct box *b, int d, int64_t first, int64_t count)
{
    int64_t inner = 1;
    for (int i = d + 1; i < b->ndim; i++)
        inner *= r->t->info->shape[i];
    while (count > 0) {
        int64_t skipped = first % inner, n = count;
        b->start[d] = first / inner;
        b->size[d] = 1;
        if (skipped > 0 || count < inner) {
            n = count < inner - skipped ? count : inner - skipped;
            TRY(read_range(r, b, d + 1, skipped, n));
        } else {
            b->size[d] = count / inner;
            n = b->size[d] * inner;
            for (int i = d + 1; i < b->ndim; i++) {
                b->start[i] = 0;
                b->size[i] = r->t->info->shape[i];
            }
            TRY(weights_read(r->t, b, r->out, NULL));
            r->out += n;
        }
        first += n;
        count -= n;
    }
    return OK;
}

int weights_read_range(const struct weights_tensor *t, int64_t first, int64_t count, float *out)
{
    struct range r = { t, out };
    struct box b = { .ndim = t->info->ndim };
    TRY(weights_check_float(t));
    if (first < 0 || count < 0 || first > t->info->count || count > t->info->count - first)
        BUG("%s: tensor %s: a range beyond the tensor", t->file->path, t->name);
    if (count == 0)
        return OK;
    return b.ndim == 0 ? weights_read(t, NULL, out, NULL) : read_range(&r, &b, 0, first, count);
}
