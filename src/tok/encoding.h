/* encoding -- growing arrays of ids and spans. */
#ifndef PLAIT_TOK_ENCODING_H
#define PLAIT_TOK_ENCODING_H

#include <string.h>

#include "base/mem.h"
#include "tok/tok.h"

/* Room for `more` ids beyond count (and spans, when they are kept). */
void encoding_reserve(struct encoding *e, size_t more);
/* Keeps spans from now on; those of ids already there are empty. */
void encoding_track(struct encoding *e);
/* The same for types. */
void encoding_track_types(struct encoding *e);
/* Puts ids with empty spans and type 0 at a place. */
void encoding_insert(struct encoding *e, size_t at, const int32_t *ids, size_t count);

static inline void encoding_add(struct encoding *e, int32_t id, struct tok_span span)
{
    if (e->count == e->capacity)
        encoding_reserve(e, 1);
    if (e->spans)
        e->spans[e->count] = span;
    e->ids[e->count++] = id;
}

#endif
