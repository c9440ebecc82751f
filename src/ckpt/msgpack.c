#include "ckpt/msgpack.h"

#include <inttypes.h>
#include <stdbool.h>

#include "base/err.h"

const char *msgpack_kind_name(enum msgpack_kind kind)
{
    static const char *const names[] = { "nil",   "a bool",   "an integer", "a number",    "a string",
                                         "bytes", "an array", "a map",      "an extension" };
    return names[kind];
}

/* 0xc0 to 0xdf: how many bytes of length or value follow the first byte. */
static const struct {
    signed char kind; /* -1: never used */
    signed char size; /* bytes of the length or the value that follows */
    bool is_value;
} forms[32] = {
    { MSGPACK_NIL, 0, true },    { -1, 0, true },
    { MSGPACK_BOOL, 0, true },   { MSGPACK_BOOL, 0, true },
    { MSGPACK_BYTES, 1, false }, { MSGPACK_BYTES, 2, false },
    { MSGPACK_BYTES, 4, false }, { MSGPACK_EXT, 1, false },
    { MSGPACK_EXT, 2, false },   { MSGPACK_EXT, 4, false },
    { MSGPACK_FLOAT, 4, true },  { MSGPACK_FLOAT, 8, true },
    { MSGPACK_INT, 1, true },    { MSGPACK_INT, 2, true },
    { MSGPACK_INT, 4, true },    { MSGPACK_INT, 8, true },
    { MSGPACK_INT, -1, true },   { MSGPACK_INT, -2, true },
    { MSGPACK_INT, -4, true },   { MSGPACK_INT, -8, true },
    { MSGPACK_EXT, 0, false },   { MSGPACK_EXT, 0, false },
    { MSGPACK_EXT, 0, false },   { MSGPACK_EXT, 0, false },
    { MSGPACK_EXT, 0, false },   { MSGPACK_TEXT, 1, false },
    { MSGPACK_TEXT, 2, false },  { MSGPACK_TEXT, 4, false },
    { MSGPACK_ARRAY, 2, false }, { MSGPACK_ARRAY, 4, false },
    { MSGPACK_MAP, 2, false },   { MSGPACK_MAP, 4, false },
};

/* 0x00 to 0x7f and 0xe0 to 0xff are numbers; 0x80 to 0xbf hold their length. */
static void read_short(unsigned char first, struct msgpack_token *t)
{
    t->kind = MSGPACK_INT;
    t->integer = first < 0x80 ? first : (int64_t)first - 256;
    if (first < 0x80 || first >= 0xe0)
        return;
    t->kind = first < 0x90 ? MSGPACK_MAP : first < 0xa0 ? MSGPACK_ARRAY : MSGPACK_TEXT;
    t->length = first < 0xa0 ? first & 15 : first & 31;
}

static int read_long(struct cursor *c, unsigned char first, struct msgpack_token *t)
{
    int form = first - 0xc0, size = forms[form].size, bytes = size < 0 ? -size : size;
    uint64_t value = 0;
    if (forms[form].kind < 0)
        return cursor_fail(c, t->place, "byte 0x%02x begins no MessagePack value", first);
    t->kind = (enum msgpack_kind)forms[form].kind;
    TRY(cursor_big(c, bytes, &value));
    if (first == 0xc3)
        value = 1;
    if (size < 0 && size > -8 && (value >> (8 * bytes - 1) & 1))
        value |= ~(uint64_t)0 << (8 * bytes);
    if (forms[form].is_value)
        t->integer = (int64_t)value;
    else
        t->length = value;
    if (t->kind != MSGPACK_EXT)
        return OK;
    if (size == 0)
        t->length = (uint64_t)1 << (first - 0xd4);
    TRY(cursor_big(c, 1, &value));
    t->integer = value < 128 ? (int64_t)value : (int64_t)value - 256;
    return OK;
}

int msgpack_next(struct cursor *c, struct msgpack_token *t)
{
    unsigned char first;
    *t = (struct msgpack_token){ .place = c->at };
    TRY(cursor_read(c, &first, 1));
    if (first >= 0xc0 && first < 0xe0)
        TRY(read_long(c, first, t));
    else
        read_short(first, t);
    uint64_t least = t->kind == MSGPACK_MAP ? 2 * t->length : t->length; /* bytes; an item has one at least */
    if (least > c->end - c->at)
        return cursor_fail(c, t->place, "%s of length %" PRIu64 ", but %" PRIu64 " bytes are left: truncated",
                           msgpack_kind_name(t->kind), t->length, c->end - c->at);
    return OK;
}

/* What items a token announces, or its bytes passed over. */
static int pass(struct cursor *c, const struct msgpack_token *t, uint64_t *items)
{
    *items = 0;
    if (t->kind == MSGPACK_ARRAY || t->kind == MSGPACK_MAP)
        *items = t->kind == MSGPACK_MAP ? 2 * t->length : t->length;
    else if (t->kind == MSGPACK_TEXT || t->kind == MSGPACK_BYTES || t->kind == MSGPACK_EXT)
        return cursor_skip(c, t->length);
    return OK;
}

int msgpack_skip(struct cursor *c, const struct msgpack_token *t)
{
    struct msgpack_token next;
    uint64_t left, items;
    TRY(pass(c, t, &left));
    for (; left > 0; left--) {
        TRY(msgpack_next(c, &next));
        TRY(pass(c, &next, &items));
        left += items;
        if (left - 1 > c->end - c->at)
            return cursor_fail(c, next.place,
                               "%" PRIu64 " more values announced than bytes are left: truncated",
                               left - 1 - (c->end - c->at));
    }
    return OK;
}
