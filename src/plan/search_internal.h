/* What the search for sharding rules shares with its memory of layers (search_again.c). */
#ifndef PLAIT_PLAN_SEARCH_INTERNAL_H
#define PLAIT_PLAN_SEARCH_INTERNAL_H

#include "plan/shard.h"

enum { MOST_STATES = 512 };

struct lay {
    struct placement now;  /* the form later readers find */
    struct placement born; /* the form its producer made */
    bool charged;          /* reducing its gradient has been paid for */
};

struct state {
    double seconds;
    uint64_t frontier; /* hash of how it lies */
    int parent;        /* in the row before */
    struct shard_rule *rule;
    struct lay *lay; /* [tensor]; NULL: not begun */
};

struct search {
    const struct graph *g;
    const struct axis_cost *cost;
    const struct placement *known; /* [tensor]: from the start */
    bool backward;                 /* there is a backward pass to be charged */
    bool *read_again;              /* [tensor]: read there: what was gathered is gathered again */
    struct arena *rules;
    int *last_read; /* [tensor]: place of the last forward reader, -1: none */
    /* Tensors that the states may hold differently: those of the node in hand, and others before it that
     * are read again. The first `kept` are the frontier behind the node. All others lie as known from the
     * start. */
    int *live, *gone;
    int live_count, kept;
    bool *touched; /* [tensor]: is or was among them */
    struct state *row, *next;
    int count, next_count;
    struct state **history; /* [forward node]: parent and rule of each state of its row */
    int *history_count;
    struct searched *layers; /* newest first */
    double before_seconds;   /* of the cheapest state before the newest */
};

/* States between two layers: those of their frontier, in its order. */
struct row {
    int count, kept;
    int *live;       /* [kept]: tensors */
    double *seconds; /* [count], beyond the fewest */
    struct lay *lay; /* [count][kept] */
};

struct searched {   /* a layer */
    int first, end; /* nodes */
    struct row before, after;
    double more; /* seconds of the cheapest state after it beyond those before */
    struct searched *next;
};

/* ---- search_again.c ---- */
/* The forward nodes first..end-1 of a layer are to be searched next. Where they, what they read and the
 * states before them are those of a layer that has been searched, its states and rules are taken over: true.
 */
bool search_take_layer(struct search *s, int first, int end);
/* They have been searched. */
void search_keep_layer(struct search *s);
void search_forget_layers(struct search *s);

/* search.c */
void search_begin_state(const struct search *s, struct state *state);

#endif
