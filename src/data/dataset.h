/* dataset -- a token cache, or a part of it, cut into samples.
 *
 * Joined: all tokens of the documents one after the other, cut every block_size tokens; what is left over at
 * the end is dropped. Where there is less than one block, that is the one sample (as in Hugging Face's
 * group_texts). Rows: each document that has tokens is a sample, cut off after block_size tokens. */
#ifndef PLAIT_DATA_DATASET_H
#define PLAIT_DATA_DATASET_H

#include "data/cache.h"
#include "data/sample.h"

enum dataset_part {
    DATASET_ALL,
    DATASET_HELD_OUT, /* the first held_out_percentage of the documents, as train[:P%] of HF's data sets
                         rounds it */
    DATASET_REST,     /* the others */
};

struct dataset_options {
    int64_t block_size; /* T */
    bool rows;
    enum dataset_part part;
    int64_t held_out_percentage; /* 0 .. 100 */
    int64_t max_samples;         /* the first of them; 0: all */
    const char *option;          /* "train_file": for messages */
};

struct dataset {
    const struct token_cache *cache; /* borrowed */
    int64_t block_size, count;
    bool rows;
    int64_t first_document, document_count;
    int64_t first_token, token_count; /* of the documents */
    int64_t
        dropped; /* tokens that are in no sample: the tail, what was cut off, samples beyond max_samples */
    int64_t truncated; /* rows that were cut off */
    int64_t *index;    /* rows: document of each sample; NULL: each document is one */
};

/* ERR_DATA when there is no sample; the cache stays open as long as the data set is in use. */
int dataset_init(struct dataset *d, const struct token_cache *cache, const struct dataset_options *o);
void dataset_release(struct dataset *d);
int dataset_read(const struct dataset *d, int64_t index, struct sample *s);
struct sample_source dataset_source(const struct dataset *d);

#endif
