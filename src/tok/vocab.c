#include "tok/vocab.h"

#include "base/err.h"
#include "base/mem.h"

/* Ids may lie this far beyond what a dense vocabulary would need. */
enum { GAP_FACTOR = 4, GAP_FREE = 65536 };

void vocab_init(struct vocab *v)
{
    *v = (struct vocab){ 0 };
    map_init(&v->ids);
}

void vocab_release(struct vocab *v)
{
    map_release(&v->ids);
    mem_free(v->by_id);
    *v = (struct vocab){ 0 };
}

static void by_id_grow(struct vocab *v, int32_t id)
{
    int32_t count = id + 1;

    if (count <= v->id_count)
        return;
    v->by_id = mem_resize(v->by_id, (size_t)count * sizeof(*v->by_id));
    for (int32_t i = v->id_count; i < count; i++)
        v->by_id[i] = 0;
    v->id_count = count;
}

void vocab_add(struct vocab *v, const char *token, size_t length, int32_t id)
{
    by_id_grow(v, id);
    if (v->by_id[id] != 0 || !map_add(&v->ids, token, length, id))
        BUG("token \"%s\" or id %d is there already", token, id);
    v->by_id[id] = (uint32_t)v->ids.count;
}

static int fail_shared_id(const struct vocab *v, const struct tree *t, const struct node *n, int32_t id)
{
    struct str first, second;

    str_init(&first);
    str_init(&second);
    str_append_escaped(&first, v->ids.entries[v->by_id[id] - 1].key, v->ids.entries[v->by_id[id] - 1].length,
                       40);
    str_append_escaped(&second, n->key, n->key_length, 40);
    node_fail(t, n, "id %d is used by \"%s\" and \"%s\"", id, first.data, second.data);
    str_release(&first);
    str_release(&second);
    return ERR_DATA;
}

int vocab_parse(struct vocab *v, const struct tree *t, const struct node *object)
{
    int64_t id, largest = -1;
    int64_t bound = (int64_t)object->count * GAP_FACTOR + GAP_FREE;

    for (const struct node *n = object->first; n; n = n->next) {
        TRY(node_to_int(t, n, 0, UINT32_MAX, &id));
        if (id >= bound || id > INT32_MAX - 1)
            return node_fail(t, n, "id %lld leaves a gap of %lld ids (the vocabulary has %u tokens)",
                             (long long)id, (long long)(id + 1 - object->count), object->count);
        largest = id > largest ? id : largest;
    }
    if (largest >= 0)
        by_id_grow(v, (int32_t)largest);
    for (const struct node *n = object->first; n; n = n->next) {
        TRY(node_to_int(t, n, 0, INT32_MAX - 1, &id));
        if (v->by_id[id] != 0)
            return fail_shared_id(v, t, n, (int32_t)id);
        map_add(&v->ids, n->key, n->key_length, id);
        v->by_id[id] = (uint32_t)v->ids.count;
    }
    return OK;
}

const char *vocab_token(const struct vocab *v, int32_t id, size_t *length)
{
    const struct map_entry *e;

    if (id < 0 || id >= v->id_count || v->by_id[id] == 0)
        return NULL;
    e = &v->ids.entries[v->by_id[id] - 1];
    *length = e->length;
    return e->key;
}

void vocab_write(const struct vocab *v, struct json_writer *w)
{
    json_write_object_begin(w);
    for (int32_t id = 0; id < v->id_count; id++) {
        if (v->by_id[id] == 0)
            continue;
        const struct map_entry *e = &v->ids.entries[v->by_id[id] - 1];
        json_write_key_bytes(w, e->key, e->length);
        json_write_int(w, id);
    }
    json_write_object_end(w);
}
