/* dataset -- a token cache, or a part of it, cut into samples.
 *
 * Joined: all tokens of the documents one after the other, cut every block_size tokens; what is left over at
 * the end is dropped. Where there is less than one block, that is the one sample (as in Hugging Face's
 * group_texts). Rows: each document that has tokens is a sample, cut off after block_size tokens; of a cache
 * of pairs, each pair that has both. What a tokenizer puts behind a text stays when the text is cut off. */
#ifndef PLAIT_DATA_DATASET_H
#define PLAIT_DATA_DATASET_H

#include "data/cache.h"
#include "data/sample.h"

enum { DATASET_TAIL = 4 };

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
    int64_t max_target;          /* tokens of a pair's second half */
    bool documents;              /* joined samples say where documents begin */
    const int32_t *tail;         /* tokens that stand behind a whole text; may be NULL */
    int tail_count;
    const char *option; /* "train_file": for messages */
};

struct dataset {
    const struct token_cache *cache; /* borrowed */
    int64_t block_size, max_target, count;
    bool rows, documents;
    int stride; /* documents of a row: 2 in a pair */
    int32_t tail[DATASET_TAIL];
    int tail_count;
    int64_t first_document, document_count; /* of the part; rows of it are whole */
    int64_t first_token, token_count;       /* of the documents */
    int64_t
        dropped; /* tokens that are in no sample: the tail, what was cut off, samples beyond max_samples */
    int64_t truncated;               /* rows that were cut off */
    int64_t longest, longest_target; /* tokens of samples, cut off */
    int64_t *index;                  /* rows: first document of each sample; NULL: each row is one */
};

/* ERR_DATA when there is no sample; the cache stays open as long as the data set is in use. */
int dataset_init(struct dataset *d, const struct token_cache *cache, const struct dataset_options *o);
void dataset_release(struct dataset *d);
int dataset_read(const struct dataset *d, int64_t index, struct sample *s);
struct sample_source dataset_source(const struct dataset *d);

#endif
