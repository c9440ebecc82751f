/* tokenize -- the documents of one tile as tokens: what threads do while a cache is made. */
#ifndef PLAIT_DATA_TOKENIZE_H
#define PLAIT_DATA_TOKENIZE_H

#include "data/cache.h"
#include "data/source.h"

/* Whether documents come with labels and with token types: all do or none does, and the first one says which.
 */
enum token_kind { KIND_UNKNOWN, KIND_PLAIN = 1, KIND_LABELLED = 2, KIND_TYPED = 4 };

struct tile_tokens { /* zeroed to begin with; the arrays are kept from tile to tile */
    struct encoding ids;
    int32_t *labels; /* beside ids, for KIND_LABELLED */
    uint8_t *types;  /* beside ids, for KIND_TYPED */
    int32_t *words;  /* label_set_words of each document, for ROWS_CLASS */
    size_t label_capacity, type_capacity, word_capacity;
    uint64_t *ends; /* ids up to the end of each document of the tile */
    size_t documents, end_capacity;
    int64_t label_count, empty_count;
    int32_t max_id;
};

struct tokenizing { /* the same for all tiles */
    const struct token_cache_options *options;
    struct encoder **encoders; /* one for each thread; NULL without a tokenizer */
    int encoder_count;
    int32_t eos;   /* -1: none */
    unsigned kind; /* of enum token_kind; more than one bit where there are both */
};

int tokenizing_init(struct tokenizing *z, const struct token_cache_options *o); /* ERR_CONFIG: no eos token */
void tokenizing_release(struct tokenizing *z);
/* Reads the tile. With KIND_UNKNOWN only one tile may be worked on at a time, and the kind is known after the
 * first document. */
void tokenize_tile(struct tokenizing *z, struct source_tile *tile, struct tile_tokens *out);
void tile_tokens_release(struct tile_tokens *t);

#endif
