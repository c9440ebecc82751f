/* gpt2_case -- runs a stored GPT-2 case (tests/golden/gpt2/NAME: model, inputs, expected outputs) on a mesh
 * of in-process ranks. */
#ifndef PLAIT_TESTS_GPT2_CASE_H
#define PLAIT_TESTS_GPT2_CASE_H

#include "comm/comm.h"
#include "exec/exec.h"
#include "models/config.h"

/* Links so fast that even these small models are worth dealing out. */
extern const struct cluster case_fast_links;

/* Fills the parameters of a store from the model directory. */
int case_fill_store(struct store *s, const char *dir);

/* A batch from inputs.safetensors: rows of samples first..first+count-1. */
struct case_inputs {
    int64_t samples, length;                  /* B, T */
    int64_t *ids, *mask, *positions, *labels; /* [B, T]; mask, positions, labels may be NULL */
};
int case_inputs_load(struct case_inputs *in, const char *dir);
void case_inputs_release(struct case_inputs *in);
void case_batch(struct batch *b, const struct case_inputs *in, int64_t first, int64_t count);

/* Largest relative L2 difference. */
double case_difference(const float *a, const float *b, int64_t count);
float *case_expected(const char *dir, const char *name,
                     int64_t *count); /* NULL when the file has no such tensor */

#endif
