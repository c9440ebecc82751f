/* rng -- random numbers as functions of what they are for, never of who asks: Philox 4x32-10 (Salmon et al.,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The key is (seed, stream), the counter is the
 * place. */
#ifndef PLAIT_BASE_RNG_H
#define PLAIT_BASE_RNG_H

#include <stdint.h>

struct rng_key {
    uint64_t seed;
    uint32_t stream; /* which use of randomness: hash of a scope's name, see rng_stream */
};

/* 4 x 32 random bits at place (hi, lo). */
void rng_bits(struct rng_key key, uint64_t hi, uint64_t lo, uint32_t out[4]);
uint32_t rng_stream(const char *name);                            /* 32-bit hash of a name */
double rng_uniform(struct rng_key key, uint64_t hi, uint64_t lo); /* [0, 1), 53 bits */
uint64_t rng_below(struct rng_key key, uint64_t hi, uint64_t lo,
                   uint64_t n);                                  /* uniform in [0, n), n >= 1, unbiased */
double rng_normal(struct rng_key key, uint64_t hi, uint64_t lo); /* mean 0, deviation 1 (Box-Muller) */

/* Position i of a pseudo-random permutation of [0, n), computed alone in O(1): a Feistel network with cycle
 * walking. A bijection for every key and n >= 1. */
uint64_t rng_permute(struct rng_key key, uint64_t n, uint64_t i);

#endif
