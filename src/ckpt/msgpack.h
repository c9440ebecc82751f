/* msgpack -- tokens of MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), one after the
 * other; what holds others is a token with their number, and they follow. */
#ifndef PLAIT_CKPT_MSGPACK_H
#define PLAIT_CKPT_MSGPACK_H

#include "ckpt/byte_file.h"

enum msgpack_kind {
    MSGPACK_NIL,
    MSGPACK_BOOL,
    MSGPACK_INT,
    MSGPACK_FLOAT,
    MSGPACK_TEXT,
    MSGPACK_BYTES,
    MSGPACK_ARRAY,
    MSGPACK_MAP,
    MSGPACK_EXT,
};

struct msgpack_token {
    enum msgpack_kind kind;
    uint64_t length; /* bytes of TEXT, BYTES, EXT; items of ARRAY; pairs of MAP */
    int64_t integer; /* the value of BOOL, INT; the type of EXT */
    uint64_t place;  /* where the token begins, for messages */
};

/* The cursor stands behind the token, before the bytes or items it announces. ERR_DATA also when these are
 * more than what is left of the file. */
int msgpack_next(struct cursor *c, struct msgpack_token *t);
/* Passes over the rest of the value that t began. */
int msgpack_skip(struct cursor *c, const struct msgpack_token *t);
const char *msgpack_kind_name(enum msgpack_kind kind); /* "a map" */

#endif
