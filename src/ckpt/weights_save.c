#include "ckpt/weights_save.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "ckpt/safetensors.h"
#include "ckpt/weights.h"

enum { PART_ELEMENTS = 1 << 18 };
static const uint64_t default_shard_bytes = 50000000000u;

/* Which parameters go into which file. */
struct split {
    size_t *shard;   /* of each parameter */
    size_t shards;   /* how many files */
    uint64_t *bytes; /* of each parameter */
    uint64_t total;
    int64_t elements;
};

struct writing {
    struct save *save;
    const struct weights_param *params;
    size_t count;
    const char *base;
    const struct element *element;
    enum manifest_kind kind;
    const char *tag;
    struct split split;
};

const char *weights_save_dtype(const char *name)
{
    static const char *const names[][4] = {
        { "F32", "float32", "fp32", "torch.float32" },
        { "BF16", "bfloat16", "bf16", "torch.bfloat16" },
        { "F16", "float16", "fp16", "torch.float16" },
    };
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < 4; k++) {
            if (strcmp(name, names[i][k]) == 0)
                return names[i][0];
        }
    }
    return NULL;
}

static int64_t param_count(const struct weights_param *p)
{
    int64_t count = 1;
    for (int d = 0; d < p->ndim; d++) {
        if (!checked_mul(count, p->shape[d], &count))
            BUG("parameter %s: element count overflows", p->name);
    }
    return count;
}

/* As transformers splits: in the order given; a file is begun when the next tensor does not fit into the
 * current one, and a tensor larger than the limit gets a file of its own at once, before the current one is
 * closed. */
static void split_params(struct writing *w, uint64_t limit)
{
    struct split *s = &w->split;
    uint64_t current_bytes = 0;
    size_t current = SIZE_MAX, next = 0; /* SIZE_MAX: the current file has nothing yet, and so no number */
    size_t *order = mem_alloc_array(w->count + 1, sizeof(*order)); /* file as begun -> number */
    size_t begun = 0;
    s->shard = mem_alloc_array(w->count, sizeof(*s->shard));
    s->bytes = mem_alloc_array(w->count, sizeof(*s->bytes));
    for (size_t i = 0; i < w->count; i++) {
        int64_t elements = param_count(&w->params[i]);
        s->bytes[i] = (uint64_t)elements * (uint64_t)(w->element->bits / 8);
        s->total += s->bytes[i];
        s->elements += elements;
        if (s->bytes[i] > limit) {
            s->shard[i] = begun;
            order[begun++] = next++;
            continue;
        }
        if (current != SIZE_MAX && current_bytes + s->bytes[i] > limit) {
            order[current] = next++;
            current = SIZE_MAX;
        }
        if (current == SIZE_MAX) {
            current = begun++;
            current_bytes = 0;
        }
        s->shard[i] = current;
        current_bytes += s->bytes[i];
    }
    if (current != SIZE_MAX)
        order[current] = next++;
    for (size_t i = 0; i < w->count; i++)
        s->shard[i] = order[s->shard[i]];
    s->shards = begun;
    mem_free(order);
}

static void append_file_name(struct str *s, const struct writing *w, size_t shard)
{
    str_clear(s);
    if (w->split.shards <= 1)
        str_appendf(s, "%s.safetensors", w->base);
    else
        str_appendf(s, "%s-%05zu-of-%05zu.safetensors", w->base, shard + 1, w->split.shards);
}

static int compare_params(const void *a, const void *b)
{
    const struct weights_param *x = *(const struct weights_param *const *)a;
    const struct weights_param *y = *(const struct weights_param *const *)b;
    return strcmp(x->name, y->name);
}

static void write_param(struct safetensors_writer *st, const struct weights_param *p, float *buffer)
{
    int64_t count = param_count(p);
    for (int64_t at = 0; at < count && st->status == OK; at += PART_ELEMENTS) {
        int64_t n = count - at < PART_ELEMENTS ? count - at : PART_ELEMENTS;
        const float *values = buffer;
        if (p->data != NULL)
            values = p->data + at;
        else
            st->status = p->read(p, at, n, buffer);
        safetensors_writer_floats(st, values, (size_t)n);
    }
}

static int write_tensors(const struct writing *w, const struct weights_param **params, size_t count,
                         struct sink *sink)
{
    struct safetensors_writer st;
    float *buffer = mem_alloc_array(PART_ELEMENTS, sizeof(*buffer));
    safetensors_writer_init(&st, sink);
    safetensors_writer_metadata(&st, "format", "pt");
    if (w->tag != NULL && w->split.shards > 1)
        safetensors_writer_metadata(&st, WEIGHTS_SAVE_KEY, w->tag);
    for (size_t i = 0; i < count; i++)
        safetensors_writer_declare(&st, params[i]->name, w->element, params[i]->ndim, params[i]->shape);
    safetensors_writer_header(&st);
    for (size_t i = 0; i < count; i++)
        write_param(&st, params[i], buffer);
    mem_free(buffer);
    return safetensors_writer_end(&st);
}

static int write_shard(const struct writing *w, size_t shard)
{
    const struct weights_param **params = mem_alloc_array(w->count, sizeof(*params));
    struct sink *sink;
    struct str name;
    size_t count = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (w->split.shard[i] == shard)
            params[count++] = &w->params[i];
    }
    qsort(params, count, sizeof(*params), compare_params);
    str_init(&name);
    append_file_name(&name, w, shard);
    int status = save_file_begin(w->save, name.data, w->kind, &sink);
    if (status == OK)
        status = save_file_end(w->save, write_tensors(w, params, count, sink));
    if (status == ERR_DATA)
        error_prefix("%s: ", name.data);
    str_release(&name);
    mem_free(params);
    return status;
}

struct index_entry {
    const char *name;
    size_t shard;
};

static int compare_entries(const void *a, const void *b)
{
    const struct index_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* json.dumps(index, indent=2, sort_keys=True) + "\n" */
static int write_index(const struct writing *w)
{
    struct index_entry *entries = mem_alloc_array(w->count, sizeof(*entries));
    struct json_writer json;
    struct str text, name;
    for (size_t i = 0; i < w->count; i++)
        entries[i] = (struct index_entry){ .name = w->params[i].name, .shard = w->split.shard[i] };
    qsort(entries, w->count, sizeof(*entries), compare_entries);
    str_init(&text);
    str_init(&name);
    json_writer_init(&json, &text, 2);
    json.ascii = true;
    json_write_object_begin(&json);
    json_write_key(&json, "metadata");
    json_write_object_begin(&json);
    json_write_key(&json, "total_parameters");
    json_write_int(&json, w->split.elements);
    json_write_key(&json, "total_size");
    json_write_uint64(&json, w->split.total);
    json_write_object_end(&json);
    json_write_key(&json, "weight_map");
    json_write_object_begin(&json);
    for (size_t i = 0; i < w->count; i++) {
        append_file_name(&name, w, entries[i].shard);
        json_write_key(&json, entries[i].name);
        json_write_string(&json, name.data);
    }
    json_write_object_end(&json);
    json_write_object_end(&json);
    str_append(&text, "\n");
    str_clear(&name);
    str_appendf(&name, "%s.safetensors.index.json", w->base);
    int status = save_file(w->save, name.data, w->kind, text.data, text.length);
    str_release(&text);
    str_release(&name);
    mem_free(entries);
    return status;
}

int weights_save(struct save *s, const struct weights_param *params, size_t count,
                 const struct weights_save_options *o)
{
    const char *dtype = weights_save_dtype(o->dtype != NULL ? o->dtype : "F32");
    if (dtype == NULL)
        return fail(ERR_CONFIG, "weights cannot be saved as \"%s\" (expected float32, bfloat16 or float16)",
                    o->dtype);
    struct writing w = {
        .save = s,
        .params = params,
        .count = count,
        .base = o->base != NULL ? o->base : "model",
        .element = element_named(dtype),
        .kind = o->kind,
        .tag = o->tag,
    };
    split_params(&w, o->max_shard_bytes != 0 ? o->max_shard_bytes : default_shard_bytes);
    int status = count == 0 ? write_shard(&w, 0) : OK;
    for (size_t i = 0; i < w.split.shards && status == OK; i++)
        status = write_shard(&w, i);
    if (status == OK && w.split.shards > 1)
        status = write_index(&w);
    mem_free(w.split.shard);
    mem_free(w.split.bytes);
    return status;
}

uint64_t weights_save_bytes(const struct weights_param *params, size_t count,
                            const struct weights_save_options *o)
{
    const char *dtype = weights_save_dtype(o->dtype != NULL ? o->dtype : "F32");
    uint64_t element = dtype != NULL ? (uint64_t)element_named(dtype)->bits / 8 : 4, bytes = 4096;
    for (size_t i = 0; i < count; i++)
        bytes += (uint64_t)param_count(&params[i]) * element + strlen(params[i].name) + 200;
    return bytes;
}
