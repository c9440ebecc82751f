/* word_counts -- how often each word occurs. Short words lie in the table itself, so that counting one costs
 * one cache line; longer ones in a map. */
#ifndef PLAIT_TOK_WORD_COUNTS_H
#define PLAIT_TOK_WORD_COUNTS_H

#include "base/map.h"

struct word_count {
    uint64_t key[2]; /* word_key; key[1] is 0 in an empty slot */
    int64_t count;
};

struct word_counts { /* zeroed to begin with */
    struct word_count *slots;
    size_t slot_count, used;
    struct map longer; /* valid when has_longer */
    bool has_longer;
};

void word_counts_release(struct word_counts *c);
void word_counts_add(struct word_counts *c, const char *word, size_t length, int64_t count);
size_t word_counts_size(const struct word_counts *c); /* distinct words */

/* All words, in no particular order: *place begins at 0. bytes are valid until the next call. False: no more.
 */
struct word_counts_item {
    const char *bytes;
    size_t length;
    int64_t count;
    char space[16];
};
bool word_counts_next(const struct word_counts *c, size_t *place, struct word_counts_item *out);

#endif
