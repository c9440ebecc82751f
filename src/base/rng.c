#include "base/rng.h"

#include <math.h>

#include "base/err.h"

enum { FEW = 64, ROUNDS = 6 };

/* FNV-1a over the bytes, then MurmurHash3's finaliser, so that similar names end far apart. */
uint32_t rng_stream(const char *name)
{
    uint32_t h = 0x811c9dc5u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x01000193u;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

static uint64_t pair(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

double rng_uniform(struct rng_key key, uint64_t hi, uint64_t lo)
{
    uint32_t r[4];
    rng_bits(key, hi, lo, r);
    return (double)(pair(r[0], r[1]) >> 11) * 0x1p-53;
}

double rng_normal(struct rng_key key, uint64_t hi, uint64_t lo)
{
    static const double two_pi = 6.283185307179586476925;
    uint32_t r[4];
    rng_bits(key, hi, lo, r);
    double radius = (double)((pair(r[0], r[1]) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    double turn = (double)(pair(r[2], r[3]) >> 11) * 0x1p-53;
    return sqrt(-2 * log(radius)) * cos(two_pi * turn);
}

/* Lemire, "Fast random integer generation in an interval" (2019): the high half of bits * n, refused when the
 * low half lies in the part that would favour some results. A refused place draws again under a key derived
 * from it. */
uint64_t rng_below(struct rng_key key, uint64_t hi, uint64_t lo, uint64_t n)
{
    if (n == 0)
        BUG("rng_below of nothing");
    uint64_t refused = -n % n;
    for (uint64_t word = rng_key_word(key);; word = rng_mix(word + 1)) {
        uint32_t r[4];
        rng_philox(word, hi, lo, r);
        for (int i = 0; i < 4; i += 2) {
            unsigned __int128 product = (unsigned __int128)pair(r[i], r[i + 1]) * n;
            if ((uint64_t)product >= refused)
                return (uint64_t)(product >> 64);
        }
    }
}

/* Fisher and Yates's shuffle, all of it for one place: every order is exactly as likely. Feistel networks
 * over so few values reach some orders far more often than others. */
static uint64_t shuffle_few(struct rng_key key, uint64_t n, uint64_t i)
{
    unsigned char order[FEW];
    for (uint64_t j = 0; j < n; j++) {
        uint64_t k = rng_below(key, n, j, j + 1);
        order[j] = order[k];
        order[k] = (unsigned char)j;
    }
    return order[i];
}

/* The domain is the least power of four that holds n, so that both halves of a number have `bits` bits and at
 * most three quarters of it are walked through. Luby and Rackoff need 4 rounds of a good function; small
 * domains like a few more. */
uint64_t rng_permute(struct rng_key key, uint64_t n, uint64_t i)
{
    if (i >= n)
        BUG("rng_permute of place %llu of %llu", (unsigned long long)i, (unsigned long long)n);
    if (n <= FEW)
        return shuffle_few(key, n, i);
    int bits = 1;
    while (bits < 32 && (n - 1) >> (2 * bits))
        bits++;
    uint64_t word = rng_key_word(key), mask = (UINT64_C(1) << bits) - 1;
    do {
        uint64_t left = i >> bits, right = i & mask;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            uint32_t r[4];
            rng_philox(word, n, round << 32 | right, r);
            uint64_t next = left ^ (r[0] & mask);
            left = right;
            right = next;
        }
        i = left << bits | right;
    } while (i >= n);
    return i;
}
