/* segment -- what the ranks of one host share: groups of ranks that meet, a bell for each rank, and a sign
 * that one has failed. Ranks that are threads show each other where their data lies; processes have a
 * window each in every group, through which data goes piece by piece.
 *
 * Groups are found by their key; who comes first makes them. To meet is to count arrivals: nobody arrives
 * a second time before all have arrived once, so round k is complete at k times the members. Waiting is
 * sleeping until the own bell rings (a futex), which the last to arrive does for all members. Private to
 * src/comm. */
#ifndef PLAIT_COMM_SEGMENT_H
#define PLAIT_COMM_SEGMENT_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEGMENT_MOST_RANKS = 256 };

struct group_key {
    uint64_t ranks;   /* which line of ranks, or which pair */
    uint64_t members; /* bits; 0: all */
};

struct member { /* what a rank shows to the others of a group */
    const void *in;
    void *out;
    int64_t count, what; /* must be the same for all */
};

struct group {
    _Alignas(64) _Atomic int state;
    struct group_key key;
    int size;
    _Atomic uint32_t arrived;
    size_t offset; /* of its members, in the segment */
};

struct seat {                           /* of a rank */
    _Alignas(64) _Atomic uint32_t bell; /* times it has rung */
    cpu_set_t processors;               /* that it may run on */
    /* for the watch; times are clock_seconds() in nanoseconds */
    _Atomic int rank, pid;
    _Atomic int64_t alive, moved; /* the watch's last look; the rank's last transfer or phase */
    _Atomic int phase, waiting, left;
    _Atomic int64_t step, longest; /* done; the longest of late, in nanoseconds */
};

struct segment {
    int ranks;            /* with a seat here, 0 to ranks - 1: what `rank` is in this file */
    size_t bytes, window; /* window: bytes of each member of a group; 0: data is read where it lies */
    _Atomic int broken;   /* status of the first failure; OK: none */
    _Atomic int told;     /* somebody has told of it */
    _Atomic int lost;     /* a rank is gone, and the watch of another is about to end all */
    _Atomic int readers;  /* ranks that read others' memory now */
    _Atomic size_t used;
    struct seat seats[SEGMENT_MOST_RANKS];
    struct group groups[];
};

/* Bytes that a segment takes, most of them never touched. */
size_t segment_bytes(int ranks, size_t window);
void segment_init(struct segment *s, int ranks, size_t window); /* zeroed memory of segment_bytes() */

/* NULL: there are too many. */
struct group *segment_group(struct segment *s, struct group_key key, int size);
/* Each member shows things in two places, which take turns (half: 0 or 1). */
struct member *segment_member(struct segment *s, struct group *g, int i, int half);
void *segment_window(struct segment *s, struct group *g, int i, int half); /* of half a window */

void bell_ring(struct segment *s, int rank);
uint32_t bell_value(struct segment *s, int rank);
/* Returns when the bell has rung since it had that value, or after so many nanoseconds. */
void bell_sleep(struct segment *s, int rank, uint32_t value, long most);

/* ---- failing ---- */
void segment_break(struct segment *s, int status);
/* Others' memory may be read between these two. false: a rank has failed, there is nothing to read. */
bool reading_begin(struct segment *s);
void reading_end(struct segment *s);
/* After a failure: when this returns nobody reads this rank's memory any more. */
void reading_settle(const struct segment *s);

#endif
