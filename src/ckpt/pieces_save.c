/* Writing a file of pieces. Values come part by part, a megabyte at a time, from wherever they lie. */
#include <inttypes.h>

#include "base/err.h"
#include "base/json.h"
#include "ckpt/pieces.h"
#include "ckpt/safetensors.h"
#include "ckpt/weights_save.h"

enum { PART_ELEMENTS = 1 << 18 };

static bool is_whole(const struct saved_piece *p)
{
    struct box whole;

    box_whole(&whole, p->ndim, p->shape);
    return box_contains(&p->box, &whole);
}

/* The whole's, or WHOLE@START,... */
static void append_name(struct str *s, const struct saved_piece *p)
{
    str_append(s, p->name);
    for (int d = 0; d < p->ndim && !is_whole(p); d++)
        str_appendf(s, "%c%" PRId64, d ? ',' : '@', p->box.start[d]);
}

static void write_dims(struct json_writer *w, const char *key, const int64_t *dims, int ndim)
{
    json_write_key(w, key);
    json_write_array_begin(w);
    for (int d = 0; d < ndim; d++)
        json_write_int(w, dims[d]);
    json_write_array_end(w);
}

static void describe(struct str *out, const struct saved_piece *pieces, size_t count)
{
    struct json_writer w;
    struct str name;

    str_init(&name);
    json_writer_init(&w, out, -1);
    json_write_object_begin(&w);
    for (size_t i = 0; i < count; i++) {
        const struct saved_piece *p = &pieces[i];
        if (is_whole(p))
            continue;
        str_clear(&name);
        append_name(&name, p);
        json_write_key(&w, name.data);
        json_write_object_begin(&w);
        json_write_key(&w, "of");
        json_write_string(&w, p->name);
        write_dims(&w, "shape", p->shape, p->ndim);
        write_dims(&w, "start", p->box.start, p->ndim);
        json_write_object_end(&w);
    }
    json_write_object_end(&w);
    str_release(&name);
}

static void declare(struct safetensors_writer *st, const struct saved_piece *pieces, size_t count,
                    const struct element *element)
{
    struct str name;

    str_init(&name);
    for (size_t i = 0; i < count; i++) {
        str_clear(&name);
        append_name(&name, &pieces[i]);
        safetensors_writer_declare(st, name.data, element, pieces[i].ndim, pieces[i].box.size);
    }
    str_release(&name);
}

/* The part of a piece that the dims before d choose, which have size 1 there: as many indices of dim d at
 * once as fit. */
static void write_part(struct safetensors_writer *st, const struct saved_piece *p, const struct box *part,
                       int d, float *buffer)
{
    int64_t count = box_count(part), step;
    struct box b = *part;

    if (count <= PART_ELEMENTS) {
        if (st->status == OK)
            st->status = p->read(p, part, buffer);
        safetensors_writer_floats(st, buffer, (size_t)count);
        return;
    }
    step = PART_ELEMENTS / (count / part->size[d]);
    step = step < 1 ? 1 : step;
    for (int64_t at = 0; at < part->size[d] && st->status == OK; at += step) {
        b.start[d] = part->start[d] + at;
        b.size[d] = part->size[d] - at < step ? part->size[d] - at : step;
        write_part(st, p, &b, d + 1, buffer);
    }
}

static int write_file(struct sink *sink, const struct saved_piece *pieces, size_t count,
                      const struct pieces_save_options *o)
{
    const struct element *element = element_named(weights_save_dtype(o->dtype ? o->dtype : "F32"));
    float *buffer = mem_alloc_array(PART_ELEMENTS, sizeof(buffer[0]));
    struct safetensors_writer st;
    struct str text;

    str_init(&text);
    describe(&text, pieces, count);
    safetensors_writer_init(&st, sink);
    safetensors_writer_metadata(&st, "format", "plait pieces");
    safetensors_writer_metadata(&st, PIECES_KEY, text.data);
    if (o->tag)
        safetensors_writer_metadata(&st, WEIGHTS_SAVE_KEY, o->tag);
    declare(&st, pieces, count, element);
    safetensors_writer_header(&st);
    for (size_t i = 0; i < count; i++)
        if (box_count(&pieces[i].box) > 0)
            write_part(&st, &pieces[i], &pieces[i].box, 0, buffer);
    str_release(&text);
    mem_free(buffer);
    return safetensors_writer_end(&st);
}

int pieces_save(struct save *s, const char *file, const struct saved_piece *pieces, size_t count,
                const struct pieces_save_options *o)
{
    struct sink *sink;
    int status;

    TRY(save_file_begin(s, file, o->kind, &sink));
    status = save_file_end(s, write_file(sink, pieces, count, o));
    if (status == ERR_DATA)
        error_prefix("%s: ", file);
    return status;
}
