/* bar -- the one line at the bottom of a terminal that shows how far a run has come. */
#ifndef PLAIT_TRAIN_BAR_H
#define PLAIT_TRAIN_BAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct bar {
    bool shown;
    struct str line;
    double drawn; /* when */
};

struct bar_state {
    const char *what; /* "Training" */
    int64_t done, total;
    double seconds_left; /* below 0: not known yet */
    const char *detail;  /* "loss 3.211, 12,345 tokens/s" */
};

/* The line, at most `width` bytes: the bar itself is shorter where little room is left. */
void bar_compose(struct str *line, const struct bar_state *s, size_t width);

bool bar_possible(void); /* stderr is a terminal that can move its cursor, and lines are wanted there */
void bar_begin(struct bar *b);
void bar_end(struct bar *b); /* takes it away */
/* At most ten times a second, unless it is complete. */
void bar_update(struct bar *b, const struct bar_state *s);

#endif
