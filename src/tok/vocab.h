/* vocab -- tokens and ids, both ways. Ids need not be dense, but the table by id is bounded by the number of
 * tokens, so that a file cannot ask for memory with one large id. */
#ifndef PLAIT_TOK_VOCAB_H
#define PLAIT_TOK_VOCAB_H

#include "base/map.h"
#include "tok/tree.h"

struct vocab {
    struct map ids;   /* token -> id; insertion order is the file's */
    uint32_t *by_id;  /* index + 1 into ids.entries, 0: no such id; valid after vocab_index */
    int32_t id_count; /* largest id + 1 */
};

void vocab_init(struct vocab *v);
void vocab_release(struct vocab *v);

/* Reads {"token": id, ...}. Two tokens with one id, ids out of range or far apart are refused. */
int vocab_parse(struct vocab *v, const struct tree *t, const struct node *object);
void vocab_add(struct vocab *v, const char *token, size_t length, int32_t id); /* a new token with a new id */

static inline int32_t vocab_id(const struct vocab *v, const char *token, size_t length)
{
    int64_t id;

    return map_get(&v->ids, token, length, &id) ? (int32_t)id : -1;
}

/* NULL when there is no such id; NUL-terminated and valid while the vocabulary is. */
const char *vocab_token(const struct vocab *v, int32_t id, size_t *length);
void vocab_write(const struct vocab *v, struct json_writer *w); /* an object in the order of ids */

#endif
