#include "tok/encoding.h"

enum { FIRST_CAPACITY = 64 };

void encoding_release(struct encoding *e)
{
    mem_free(e->ids);
    mem_free(e->spans);
    mem_free(e->types);
    *e = (struct encoding){ 0 };
}

void encoding_reserve(struct encoding *e, size_t more)
{
    size_t wanted = e->count + more;

    if (wanted > e->capacity) {
        e->capacity = wanted > e->capacity * 2 ? wanted : e->capacity * 2;
        if (e->capacity < FIRST_CAPACITY)
            e->capacity = FIRST_CAPACITY;
        e->ids = mem_resize(e->ids, e->capacity * sizeof(*e->ids));
    }
    if (e->spans && e->span_capacity < e->capacity) {
        e->spans = mem_resize(e->spans, e->capacity * sizeof(*e->spans));
        e->span_capacity = e->capacity;
    }
    if (e->types && e->type_capacity < e->capacity) {
        e->types = mem_resize(e->types, e->capacity * sizeof(*e->types));
        e->type_capacity = e->capacity;
    }
}

void encoding_track(struct encoding *e)
{
    if (e->spans)
        return;
    encoding_reserve(e, 1);
    e->spans = mem_alloc_array(e->capacity, sizeof(*e->spans));
    e->span_capacity = e->capacity;
}

void encoding_track_types(struct encoding *e)
{
    if (e->types)
        return;
    encoding_reserve(e, 1);
    e->types = mem_alloc_array(e->capacity, sizeof(*e->types));
    e->type_capacity = e->capacity;
}

void encoding_insert(struct encoding *e, size_t at, const int32_t *ids, size_t count)
{
    size_t after = e->count - at;

    if (count == 0)
        return;
    encoding_reserve(e, count);
    memmove(e->ids + at + count, e->ids + at, after * sizeof(*e->ids));
    memcpy(e->ids + at, ids, count * sizeof(*ids));
    if (e->spans) {
        memmove(e->spans + at + count, e->spans + at, after * sizeof(*e->spans));
        memset(e->spans + at, 0, count * sizeof(*e->spans));
    }
    if (e->types) {
        memmove(e->types + at + count, e->types + at, after * sizeof(*e->types));
        memset(e->types + at, 0, count * sizeof(*e->types));
    }
    e->count += count;
}
