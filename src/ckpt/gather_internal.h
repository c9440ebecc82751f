/* gather_internal -- what the first rank knows of all ranks' tensors, and how it talks to them. Private to
 * gather*.c. */
#ifndef PLAIT_CKPT_GATHER_INTERNAL_H
#define PLAIT_CKPT_GATHER_INTERNAL_H

#include "base/map.h"
#include "ckpt/gather.h"

enum { WORD = sizeof(int64_t) }; /* messages are words */

/* What the first rank asks for instead of an entry of a store. */
enum { GATHER_END = -1, GATHER_WRITE = -2 };

struct piece { /* what a rank has of a tensor */
    int rank;
    int64_t index;   /* in its store */
    bool again;      /* a rank before it has the same */
    struct stored s; /* name, data: not this process's, unless rank is 0 */
};

struct tensor_parts {
    char *name;
    struct piece *pieces;
    size_t count, capacity;
};

struct gather {
    struct comm *comm;
    const struct store *store;
    struct tensor_parts *tensors;
    size_t count, capacity;
    struct map names;
    float *whole; /* of `current` */
    const struct tensor_parts *current;
};

int gather_send(struct comm *c, int to, enum dtype type, const void *data, int64_t count);
int gather_receive(struct comm *c, int from, enum dtype type, void *data, int64_t count);

/* gather_save.c: on a rank that has been asked to write. A status of the talking alone. */
int gather_write(struct comm *c, const struct store *store);

#endif
