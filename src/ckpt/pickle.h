/* pickle -- Python's pickles, protocols 2 to 5, read as data: a stack machine (Lib/pickletools.py says what
 * each opcode does) that builds values and never calls anything. What a pickle names or calls goes to three
 * functions of the owner, which know a few names and refuse the others.
 *
 * A pickle is untrusted. The number of values is limited, strings are checked against what is left before
 * memory is taken, and values may form a graph with cycles: an owner walks a known number of levels only. */
#ifndef PLAIT_CKPT_PICKLE_H
#define PLAIT_CKPT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "ckpt/byte_file.h"

enum pickle_kind {
    PICKLE_UNSET, /* no value: an entry of the memo that was not put */
    PICKLE_MARK,  /* on the stack only */
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_BIG, /* an integer beyond 64 bits */
    PICKLE_FLOAT,
    PICKLE_TEXT, /* strings and bytes */
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_SET,
    PICKLE_DICT,   /* items: key, value, key, value */
    PICKLE_OBJECT, /* of the owner */
};

struct pickle_text {
    const char *bytes; /* a NUL follows */
    size_t length;
};

struct pickle_value {
    enum pickle_kind kind;
    int tag; /* of PICKLE_OBJECT: the owner's */
    union {
        int64_t integer; /* BOOL, INT */
        double number;
        const struct pickle_text *text;
        struct pickle_items *items; /* TUPLE, LIST, SET, DICT */
        const void *object;
    };
};

struct pickle_items {
    struct pickle_value *list;
    size_t count, capacity;
    struct pickle_items *next; /* private */
};

struct pickle {
    struct cursor *cursor; /* of the caller */
    void *context;
    /* GLOBAL: what module.name stands for. */
    int (*find)(struct pickle *p, const char *module, const char *name, struct pickle_value *result);
    /* REDUCE and NEWOBJ: what calling `function` with a tuple gives. */
    int (*call)(struct pickle *p, const struct pickle_value *function, const struct pickle_items *args,
                struct pickle_value *result);
    /* BINPERSID: what an id stands for. */
    int (*persist)(struct pickle *p, const struct pickle_value *id, struct pickle_value *result);
    struct arena memory; /* of all values; the owner may take from it */
    /* private */
    struct pickle_value *stack, *memo;
    size_t depth, stack_capacity, memo_count, memo_capacity, value_count;
    struct pickle_items *items;
    uint64_t begin, place; /* of the pickle, and of the opcode being done */
};

void pickle_init(struct pickle *p, struct cursor *c);
void pickle_release(struct pickle *p);
/* One pickle, up to its STOP; the cursor is left behind it. May be called again for the next one: earlier
 * values stay. ERR_DATA, ERR_IO, or what a function of the owner returned. */
int pickle_read(struct pickle *p, struct pickle_value *result);

/* For the owner's functions. */
int pickle_make(struct pickle *p, enum pickle_kind kind, struct pickle_value *v); /* of items; ERR_DATA */
int pickle_add(struct pickle *p, struct pickle_items *items, const struct pickle_value *v);
int pickle_fail(const struct pickle *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *pickle_kind_name(enum pickle_kind kind); /* "a dict" */

#endif
