/* memory -- offsets for values that live from one place of a program to another, so that values alive at the
 * same time never overlap. */
#ifndef PLAIT_PLAN_MEMORY_H
#define PLAIT_PLAN_MEMORY_H

#include <stddef.h>
#include <stdint.h>

enum { MEMORY_ALIGNMENT = 64 };

struct interval {
    int64_t bytes;
    int first, last; /* places in the order, both inclusive */
    int64_t offset;  /* the result */
};

/* Gives every interval an offset; returns the arena's size. *live: the largest sum of bytes alive at one
 * place, the floor for any assignment. */
int64_t memory_assign(struct interval *intervals, size_t count, int64_t *live);

#endif
