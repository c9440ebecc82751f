/* rng -- random numbers as functions of what they are for, never of who asks: Philox 4x32-10 (Salmon, Moraes,
 * Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * A use of randomness has a key (seed, stream); a number in it has a place (hi, lo). What they become is part
 * of every file and run that plait reproduces, so it stays as it is:
 *
 *     counter = { lo's low word, lo's high word, hi's low word, hi's high word }
 *     key     = low and high word of mix(mix(seed) + stream * 0x9e3779b97f4a7c15)
 *
 * where mix is the finaliser of SplitMix64, a bijection: two streams of a seed, or two seeds of a stream,
 * never have the same key, and other pairs collide as random 64-bit words do. */
#ifndef PLAIT_BASE_RNG_H
#define PLAIT_BASE_RNG_H

#include <stdint.h>

struct rng_key {
    uint64_t seed;
    uint32_t stream; /* which use of randomness: hash of a scope's name, see rng_stream */
};

static inline uint64_t rng_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* The cipher's key that (seed, stream) becomes. */
static inline uint64_t rng_key_word(struct rng_key key)
{
    return rng_mix(rng_mix(key.seed) + key.stream * 0x9e3779b97f4a7c15u);
}

/* The bare generator. Inlined and without branches, so that loops over places are vectorised. */
static inline __attribute__((always_inline)) void rng_philox(uint64_t key, uint64_t hi, uint64_t lo,
                                                             uint32_t out[4])
{
    uint32_t a = (uint32_t)lo, b = (uint32_t)(lo >> 32), c = (uint32_t)hi, d = (uint32_t)(hi >> 32);
    uint32_t k = (uint32_t)key, l = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t x = (uint64_t)a * 0xd2511f53u, y = (uint64_t)c * 0xcd9e8d57u;
        a = (uint32_t)(y >> 32) ^ b ^ k;
        b = (uint32_t)y;
        c = (uint32_t)(x >> 32) ^ d ^ l;
        d = (uint32_t)x;
        k += 0x9e3779b9u;
        l += 0xbb67ae85u;
    }
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

/* 4 x 32 random bits at place (hi, lo). */
static inline __attribute__((always_inline)) void rng_bits(struct rng_key key, uint64_t hi, uint64_t lo,
                                                           uint32_t out[4])
{
    rng_philox(rng_key_word(key), hi, lo, out);
}

uint32_t rng_stream(const char *name);                            /* 32-bit hash of a name */
double rng_uniform(struct rng_key key, uint64_t hi, uint64_t lo); /* [0, 1), 53 bits */
double rng_normal(struct rng_key key, uint64_t hi, uint64_t lo);  /* mean 0, deviation 1 (Box-Muller) */

/* Uniform in [0, n), n >= 1, without bias. */
uint64_t rng_below(struct rng_key key, uint64_t hi, uint64_t lo, uint64_t n);

/* Position i of a pseudo-random permutation of [0, n), computed alone in O(1): a Feistel network with cycle
 * walking, and a shuffle for n <= 64. A bijection for every key and n >= 1; permutations of different n are
 * unrelated. */
uint64_t rng_permute(struct rng_key key, uint64_t n, uint64_t i);

#endif
