#include "comm/segment.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FREE, MAKING, READY };
enum { SPINS = 300, PAGE = 4096, GROUPS_EACH = 64 };

/* ---- life ---- */

static size_t groups_of(int ranks)
{
    return (size_t)(ranks + 1) * GROUPS_EACH;
}

static size_t members_offset(int ranks)
{
    return (sizeof(struct segment) + groups_of(ranks) * sizeof(struct group) + PAGE - 1) / PAGE * PAGE;
}

/* Of one group, with as many windows. */
static size_t group_bytes(int size, size_t window)
{
    size_t members = ((size_t)size * 2 * sizeof(struct member) + 63) / 64 * 64;

    return window > 0 ? (members + PAGE - 1) / PAGE * PAGE + (size_t)size * window : members;
}

size_t segment_bytes(int ranks, size_t window)
{
    return members_offset(ranks) + groups_of(ranks) * group_bytes(2, window) + 2 * group_bytes(ranks, window);
}

void segment_init(struct segment *s, int ranks, size_t window)
{
    s->ranks = ranks;
    s->bytes = segment_bytes(ranks, window);
    s->window = window;
    s->used = members_offset(ranks);
}

/* ---- groups ---- */

static bool is(const struct group *g, struct group_key key)
{
    return g->key.ranks == key.ranks && g->key.members == key.members;
}

static bool make(struct segment *s, struct group *g, struct group_key key, int size)
{
    size_t bytes = group_bytes(size, s->window);

    g->key = key;
    g->size = size;
    g->offset = atomic_fetch_add(&s->used, bytes);
    atomic_store(&g->state, READY);
    return g->offset + bytes <= s->bytes;
}

struct group *segment_group(struct segment *s, struct group_key key, int size)
{
    for (size_t i = 0; i < groups_of(s->ranks); i++) {
        struct group *g = &s->groups[i];
        int state = FREE;
        if (atomic_compare_exchange_strong(&g->state, &state, MAKING))
            return make(s, g, key, size) ? g : NULL;
        while (atomic_load(&g->state) != READY)
            sched_yield();
        if (is(g, key))
            return g->offset + group_bytes(size, s->window) <= s->bytes ? g : NULL;
    }
    return NULL;
}

struct member *segment_member(struct segment *s, struct group *g, int i, int half)
{
    return (struct member *)(void *)((char *)s + g->offset) + 2 * i + half;
}

void *segment_window(struct segment *s, struct group *g, int i, int half)
{
    char *end = (char *)s + g->offset + group_bytes(g->size, s->window);

    return end - (size_t)(g->size - i) * s->window + (size_t)half * (s->window / 2);
}

/* ---- bells ---- */

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

void bell_ring(struct segment *s, int rank)
{
    atomic_fetch_add(&s->seats[rank].bell, 1);
    syscall(SYS_futex, &s->seats[rank].bell, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

uint32_t bell_value(struct segment *s, int rank)
{
    return atomic_load(&s->seats[rank].bell);
}

void bell_sleep(struct segment *s, int rank, uint32_t value, long most)
{
    struct timespec limit = { .tv_nsec = most };

    for (int i = 0; i < SPINS; i++) {
        if (bell_value(s, rank) != value)
            return;
        pause_briefly();
    }
    syscall(SYS_futex, &s->seats[rank].bell, FUTEX_WAIT, value, &limit, NULL, 0);
}

/* ---- failing ---- */

void segment_break(struct segment *s, int status)
{
    int fine = 0;

    atomic_compare_exchange_strong(&s->broken, &fine, status);
    for (int r = 0; r < s->ranks; r++)
        bell_ring(s, r);
}

/* The sign is looked at after this rank is counted, so that who waits for readers to leave sees all who have
 * not seen the sign. */
bool reading_begin(struct segment *s)
{
    atomic_fetch_add(&s->readers, 1);
    if (s->window > 0 || !atomic_load(&s->broken)) /* windows stay */
        return true;
    reading_end(s);
    return false;
}

void reading_end(struct segment *s)
{
    atomic_fetch_sub(&s->readers, 1);
}

void reading_settle(const struct segment *s)
{
    while (s->window == 0 && atomic_load(&s->readers) > 0)
        sched_yield();
}
