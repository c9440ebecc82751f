#include "ckpt/pieces.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "ckpt/cover.h"

/* ---- names of files ---- */

void pieces_append_name(struct str *s, const char *base, struct pieces_place p)
{
    str_appendf(s, "%s_tp_%d_pp_%d", base, p.tp, p.pp);
    if (p.dp >= 0)
        str_appendf(s, "_dp_%d", p.dp);
    str_append(s, ".safetensors");
}

/* Only names that pieces_append_name makes: no signs, blanks or zeros in front. */
bool pieces_is_name(const char *name, const char *base, struct pieces_place *p)
{
    struct pieces_place found = { .dp = -1 };
    struct str again;
    bool same;

    if (!str_starts_with(name, base) ||
        sscanf(name + strlen(base), "_tp_%7d_pp_%7d_dp_%7d", &found.tp, &found.pp, &found.dp) < 2)
        return false;
    str_init(&again);
    pieces_append_name(&again, base, found);
    same = strcmp(again.data, name) == 0;
    str_release(&again);
    if (same && p)
        *p = found;
    return same;
}

int pieces_list(const char *directory, const char *base, char ***names, size_t *count)
{
    size_t all, kept = 0;

    TRY(directory_list(directory, names, &all));
    for (size_t i = 0; i < all; i++) {
        if (pieces_is_name((*names)[i], base, NULL))
            (*names)[kept++] = (*names)[i];
        else
            mem_free((*names)[i]);
    }
    *count = kept;
    return OK;
}

/* ---- metadata ---- */

struct piece {
    const struct weights_tensor *tensor; /* of its file */
    const char *of;
    const int64_t *shape, *start;
    size_t whole; /* index into w->tensors */
};

struct joining {
    struct weights *w;
    struct piece *pieces;
    size_t count, capacity;
};

static void append_dims(struct str *s, const int64_t *dims, int ndim)
{
    str_append(s, "[");
    for (int d = 0; d < ndim; d++)
        str_appendf(s, "%s%" PRId64, d ? "," : "", dims[d]);
    str_append(s, "]");
}

static int read_dims(struct json_reader *r, struct arena *memory, int ndim, const int64_t **out)
{
    int64_t *dims = arena_alloc(memory, (size_t)ndim * sizeof(dims[0]));
    int count = 0;

    if (!json_array_begin(r))
        return json_status(r);
    while (json_next_element(r)) {
        int64_t v = json_int(r, 0, INT64_MAX);
        if (json_status(r) == OK && count == ndim)
            return json_fail(r, "more dims than the piece has (expected %d)", ndim);
        if (json_status(r) == OK)
            dims[count++] = v;
    }
    TRY(json_status(r));
    if (count < ndim)
        return json_fail(r, "fewer dims than the piece has (found %d, expected %d)", count, ndim);
    *out = dims;
    return OK;
}

static int read_whole_name(struct json_reader *r, struct arena *memory, const char **of)
{
    struct json_string text;

    if (!json_string(r, &text))
        return json_status(r);
    if (text.length == 0 || text.length > SAFETENSORS_MAX_NAME)
        return json_fail(r, "a name of %zu bytes (expected 1 to %d)", text.length, SAFETENSORS_MAX_NAME);
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return json_fail(r, "a name with a control character");
    *of = arena_strndup(memory, text.data, text.length);
    return OK;
}

/* A piece that reaches beyond the whole would be read from, and written to, where nothing is. */
static int check_piece(const struct piece *p)
{
    const struct safetensors_tensor *info = p->tensor->info;

    for (int d = 0; d < info->ndim; d++)
        if (info->shape[d] > p->shape[d] || p->start[d] > p->shape[d] - info->shape[d])
            return safetensors_fail(p->tensor->file->path, p->tensor->name,
                                    "reaches beyond \"%.80s\" along dim %d (found %" PRId64
                                    " entries from %" PRId64 ", expected at most %" PRId64 " in all)",
                                    p->of, d, info->shape[d], p->start[d], p->shape[d]);
    return OK;
}

static int read_piece(struct json_reader *r, struct arena *memory, struct piece *p)
{
    struct json_string key;
    int ndim = p->tensor->info->ndim, status = OK;
    const char *of = NULL;

    p->shape = p->start = NULL;
    if (!json_object_begin(r))
        return json_status(r);
    while (status == OK && json_next_key(r, &key)) {
        if (json_key_is(r, "of"))
            status = read_whole_name(r, memory, &of);
        else if (json_key_is(r, "shape"))
            status = read_dims(r, memory, ndim, &p->shape);
        else if (json_key_is(r, "start"))
            status = read_dims(r, memory, ndim, &p->start);
        else
            json_skip(r);
    }
    TRY(status);
    TRY(json_status(r));
    if (!of || !p->shape || !p->start)
        return json_fail(r, "\"%s\" missing", !of ? "of" : !p->shape ? "shape" : "start");
    p->of = of;
    return check_piece(p);
}

/* `first`: piece of the file's first tensor. */
static int read_list(struct joining *j, const struct weights_file *file, struct json_reader *r, size_t first)
{
    struct json_string key;

    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key)) {
        int64_t at;
        if (!map_get(&file->safetensors.names, key.data, key.length, &at))
            return json_fail(r, "there is no such tensor in the file");
        TRY(read_piece(r, &j->w->memory, &j->pieces[first + (size_t)at]));
    }
    return json_end(r);
}

static int read_file(struct joining *j, const struct weights_file *file)
{
    const char *text = file->safetensors.path ? safetensors_metadata(&file->safetensors, PIECES_KEY) : NULL;
    size_t first = j->count;
    struct json_reader r;
    struct str name;
    int status;

    if (!text)
        return fail(ERR_DATA, "%s: no file of a sharded checkpoint (expected \"%s\" in its metadata)",
                    file->path, PIECES_KEY);
    for (size_t i = 0; i < file->count; i++) {
        const struct weights_tensor *t = &file->tensors[i];
        int64_t *start = arena_alloc(&j->w->memory, (size_t)t->info->ndim * sizeof(start[0]));
        j->pieces = mem_grow(j->pieces, j->count, &j->capacity, sizeof(j->pieces[0]));
        j->pieces[j->count++] =
            (struct piece){ .tensor = t, .of = t->name, .shape = t->info->shape, .start = start };
    }
    str_init(&name);
    str_appendf(&name, "%s: metadata \"%s\"", file->path, PIECES_KEY);
    json_reader_init(&r, name.data, text, strlen(text));
    status = read_list(j, file, &r, first);
    json_reader_release(&r);
    str_release(&name);
    return status;
}

/* ---- joining ---- */

static int fail_differs(const struct piece *a, const struct piece *b)
{
    struct str found, expected;
    int status;

    str_init(&found);
    str_init(&expected);
    str_appendf(&found, "%s ", a->tensor->info->element->name);
    append_dims(&found, a->shape, a->tensor->info->ndim);
    str_appendf(&expected, "%s ", b->tensor->info->element->name);
    append_dims(&expected, b->shape, b->tensor->info->ndim);
    status =
        safetensors_fail(a->tensor->file->path, a->tensor->name, "a piece of %s, but %s has pieces of %s",
                         found.data, path_base(b->tensor->file->path), expected.data);
    str_release(&found);
    str_release(&expected);
    return status;
}

/* All pieces of one tensor are of one whole. */
static int check_same(const struct piece *a, const struct piece *b)
{
    const struct safetensors_tensor *x = a->tensor->info, *y = b->tensor->info;

    if (x->ndim == y->ndim && x->element == y->element &&
        (x->ndim == 0 || memcmp(a->shape, b->shape, (size_t)x->ndim * sizeof(a->shape[0])) == 0))
        return OK;
    return fail_differs(a, b);
}

static int make_whole(struct weights *w, const struct piece *p, struct weights_tensor *t)
{
    struct safetensors_tensor *info = arena_alloc(&w->memory, sizeof(*info));
    int64_t bits;

    *info = (struct safetensors_tensor){ .name = arena_strdup(&w->memory, p->of),
                                         .element = p->tensor->info->element,
                                         .shape = p->shape,
                                         .ndim = p->tensor->info->ndim,
                                         .count = 1 };
    for (int d = 0; d < info->ndim; d++)
        if (!checked_mul(info->count, p->shape[d], &info->count))
            return safetensors_fail(p->tensor->file->path, p->of, "element count overflows");
    if (!checked_mul(info->count, info->element->bits, &bits))
        return safetensors_fail(p->tensor->file->path, p->of, "byte size overflows");
    info->end = (uint64_t)bits / 8;
    *t = (struct weights_tensor){ .name = info->name, .file = p->tensor->file, .info = info };
    return OK;
}

/* Which tensors there are, and how many pieces of each. */
static int find_wholes(struct joining *j)
{
    struct weights *w = j->w;
    const struct piece **firsts = mem_alloc_array(j->count + 1, sizeof(firsts[0]));
    int status = OK;

    w->tensors = mem_alloc_array(j->count + 1, sizeof(w->tensors[0]));
    for (size_t i = 0; i < j->count && status == OK; i++) {
        struct piece *p = &j->pieces[i];
        int64_t at = (int64_t)w->count;
        if (map_add(&w->names, p->of, strlen(p->of), at)) {
            firsts[at] = p;
            status = make_whole(w, p, &w->tensors[w->count++]);
        } else {
            map_get(&w->names, p->of, strlen(p->of), &at);
            status = check_same(p, firsts[at]);
        }
        p->whole = (size_t)at;
        w->tensors[at].piece_count++;
    }
    mem_free(firsts);
    return status;
}

static void deal_out(struct joining *j)
{
    struct weights *w = j->w;
    struct weights_piece *next = arena_alloc(&w->memory, (j->count + 1) * sizeof(next[0]));
    struct weights_piece **at = mem_alloc_array(w->count + 1, sizeof(at[0]));

    for (size_t i = 0; i < w->count; i++) {
        w->tensors[i].pieces = at[i] = next;
        next += w->tensors[i].piece_count;
    }
    for (size_t i = 0; i < j->count; i++)
        *at[j->pieces[i].whole]++ = (struct weights_piece){ j->pieces[i].tensor, j->pieces[i].start };
    mem_free(at);
}

static bool is_covered(const struct weights_tensor *t, struct cover_fault *fault)
{
    struct cover_box *boxes = mem_alloc_array(t->piece_count, sizeof(boxes[0]));
    bool exact;

    for (size_t i = 0; i < t->piece_count; i++)
        boxes[i] = (struct cover_box){ t->pieces[i].start, t->pieces[i].tensor->info->shape };
    exact = cover_exact(t->info->ndim, t->info->shape, boxes, t->piece_count, fault);
    mem_free(boxes);
    return exact;
}

static void hint_missing(const struct weights *w)
{
    const char *first = path_base(w->files[0].path), *last = path_base(w->files[w->file_count - 1].path);
    struct str there;

    str_init(&there);
    if (w->file_count > 1)
        str_appendf(&there, "%zu files are there, %s to %s", w->file_count, first, last);
    else
        str_appendf(&there, "only %s is there", first);
    error_hint("%s: those of other ranks are missing (tp_N is of rank N of those that divide each layer, "
               "pp_N of stage N)",
               there.data);
    str_release(&there);
}

static int fail_cover(const struct weights *w, const struct weights_tensor *t, const struct cover_fault *f,
                      size_t others)
{
    struct str what;
    int status;

    str_init(&what);
    if (f->times < 0) {
        str_appendf(&what, "cut along more than %d dims", COVER_MAX_CUTS);
    } else {
        str_append(&what, "element ");
        append_dims(&what, f->at, t->info->ndim);
        if (f->times)
            str_appendf(&what, " is there %" PRId64 " times (expected once)", f->times);
        else
            str_append(&what, " is in none of the files");
    }
    if (others)
        str_appendf(&what, ", and %zu more tensors are not whole", others);
    status = safetensors_fail(w->path, t->name, "%s", what.data);
    if (f->times == 0)
        hint_missing(w);
    str_release(&what);
    return status;
}

static int check_cover(const struct weights *w)
{
    const struct weights_tensor *bad = NULL;
    struct cover_fault fault = { 0 }, other;
    size_t others = 0;

    for (size_t i = 0; i < w->count; i++) {
        if (is_covered(&w->tensors[i], bad ? &other : &fault))
            continue;
        others += bad != NULL;
        bad = bad ? bad : &w->tensors[i];
    }
    return bad ? fail_cover(w, bad, &fault, others) : OK;
}

int pieces_join(struct weights *w)
{
    struct joining j = { .w = w };
    int status = OK;

    for (size_t i = 0; i < w->file_count && status == OK; i++)
        status = read_file(&j, &w->files[i]);
    if (status == OK)
        status = find_wholes(&j);
    if (status == OK)
        deal_out(&j);
    if (status == OK)
        status = check_cover(w);
    mem_free(j.pieces);
    return status;
}

/* ---- parts ---- */

int pieces_read(const struct weights_tensor *t, const struct box *box, float *out, const int64_t *stride)
{
    for (size_t i = 0; i < t->piece_count; i++) {
        const struct weights_piece *p = &t->pieces[i];
        struct box piece, common;
        int64_t offset = 0;
        box_whole(&piece, t->info->ndim, p->tensor->info->shape);
        memcpy(piece.start, p->start, (size_t)t->info->ndim * sizeof(piece.start[0]));
        if (!box_intersect(&piece, box, &common))
            continue;
        for (int d = 0; d < common.ndim; d++) {
            offset += (common.start[d] - box->start[d]) * stride[d];
            common.start[d] -= piece.start[d];
        }
        TRY(weights_read(p->tensor, &common, out + offset, stride));
    }
    return OK;
}
