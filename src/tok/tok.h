/* tok -- tokenizers: text to ids and back, exactly as tokenizer.json (or vocab.json + merges.txt) says.
 *
 * A tokenizer is a pipeline of components, each chosen by its "type" in tokenizer.json (component.h):
 *     added tokens -> normalizer -> pre-tokenizer -> model -> post-processor        and back: decoder.
 * A loaded tokenizer is constant; any number of threads may use it, each with an encoder of its own (what a
 * caller keeps between calls: the cache of words and scratch space). Nothing here is collective. */
#ifndef PLAIT_TOK_TOK_H
#define PLAIT_TOK_TOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct tokenizer;
struct encoder;

/* ---- loading ---- */

/* A file: tokenizer.json, vocab.txt, or a .model of SentencePiece; or a directory with one of them
 * (.model: tokenizer.model or spiece.model) or vocab.json + merges.txt, tokenizer.json first. Beside them
 * tokenizer_config.json, special_tokens_map.json and config.json's model_type are read as transformers
 * reads them. ERR_OPEN, ERR_DATA. */
int tokenizer_load(const char *path, struct tokenizer **out);
bool tokenizer_found(const char *directory); /* whether it has such a file */
/* The text of a tokenizer.json; name is for messages. */
int tokenizer_parse(const char *name, const char *bytes, size_t length, struct tokenizer **out);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */

/* ---- tokens and ids ---- */

int32_t tokenizer_size(const struct tokenizer *t); /* distinct tokens, added ones included: len(tokenizer) */
int32_t tokenizer_id_limit(const struct tokenizer *t); /* largest id + 1: rows a model needs */
int32_t tokenizer_id(const struct tokenizer *t, const char *token, size_t length); /* -1 when absent */
const char *tokenizer_token(const struct tokenizer *t, int32_t id,
                            size_t *length); /* NULL when absent; borrowed */

enum tok_special { TOK_BOS, TOK_EOS, TOK_UNK, TOK_SEP, TOK_PAD, TOK_CLS, TOK_MASK, TOK_SPECIAL_COUNT };
extern const char *const tok_special_keys[TOK_SPECIAL_COUNT]; /* "bos_token", ... */

int32_t tokenizer_special_id(const struct tokenizer *t, enum tok_special which); /* -1 when there is none */
/* Names the token that plays a part; it has to be in the vocabulary (ERR_CONFIG). NULL takes the part away.
 */
int tokenizer_set_special(struct tokenizer *t, enum tok_special which, const char *token);
/* What is put around a text: "none" changes nothing; "roberta" puts cls (else bos) before and sep (else
 * eos) after it. ERR_CONFIG when the tokens are missing or the name is another. */
int tokenizer_set_post_processor(struct tokenizer *t, const char *name);
bool tokenizer_is_special(const struct tokenizer *t, int32_t id); /* left out by decode's skip_special */
int64_t tokenizer_max_length(const struct tokenizer *t); /* model_max_length; INT64_MAX when there is none */
double tokenizer_dropout(const struct tokenizer *t); /* of merges, where encode_options ask for it; 0: none */
uint64_t tokenizer_hash(const struct tokenizer *t);  /* of everything that decides ids */

/* ---- text to ids ---- */

struct tok_span {
    uint32_t begin, end; /* bytes of the input */
};

struct encoding { /* zeroed to begin with; grows; encoding_release frees */
    int32_t *ids;
    struct tok_span *spans; /* where each id comes from, (0, 0) for special tokens; NULL when not asked for */
    int32_t *types;         /* token type of each id; NULL when not asked for */
    size_t count, capacity, span_capacity, type_capacity;
};
void encoding_release(struct encoding *e);

enum truncation_strategy { TRUNCATE_LONGEST, TRUNCATE_FIRST, TRUNCATE_SECOND };

struct truncation { /* inactive when zeroed, as the next */
    bool active, left;
    enum truncation_strategy strategy;
    int64_t max_length;
    int64_t stride; /* of the parts that are cut off, which nobody here asks for */
};

struct padding {
    bool active, left;
    int64_t fixed;    /* 0: to the longest of the batch */
    int64_t multiple; /* 0: none */
    int32_t id, type;
};

/* What tokenizer.json says. */
void tokenizer_lengths(const struct tokenizer *t, struct truncation *truncation, struct padding *padding);
/* The sides by tokenizer_config.json, and the pad token; -1: there is none. */
void tokenizer_sides(const struct tokenizer *t, struct truncation *truncation, struct padding *padding);
/* Pads all to one length. */
void encodings_pad(const struct padding *p, struct encoding *list, size_t count);

struct encode_options {
    const struct truncation
        *truncation; /* of tokenizer_encode_batch, these two; NULL: what tokenizer.json says */
    const struct padding *padding;
    bool no_special_tokens; /* leave out what the post-processor adds */
    bool spans;
    bool types;
    bool dropout; /* merges of a BPE model that has a dropout are left out at random, by seed and text */
    uint64_t seed;
    /* Tokens of a pair and what is added to it: beyond that the longer text loses its last ones; 0: no
     * limit */
    int64_t max_length;
};

struct encoder *encoder_create(const struct tokenizer *t); /* the tokenizer outlives it */
void encoder_free(struct encoder *e);

/* Appends the ids of one text to out. Bytes that are not UTF-8 are taken one by one as symbols of no
 * class. Padding and truncation settings of the file do not act here, as they do not in transformers.
 * options NULL: all false. */
int tokenizer_encode(struct encoder *e, const char *text, size_t length, const struct encode_options *options,
                     struct encoding *out);

struct tok_text {
    const char *bytes;
    size_t length;
};
struct tok_input {              /* a text, or two that belong together */
    struct tok_text text, pair; /* pair.bytes NULL: there is none */
};
/* The same for two texts; spans are of the text that an id comes from. */
int tokenizer_encode_pair(struct encoder *e, const struct tok_input *in, const struct encode_options *options,
                          struct encoding *out);
/* count inputs into count encodings (zeroed by the caller), on all threads; padding and truncation act. */
int tokenizer_encode_batch(const struct tokenizer *t, const struct tok_input *inputs, size_t count,
                           const struct encode_options *options, struct encoding *out);

/* ---- ids to text ---- */

/* Appends the text of ids. Ids that are no token are passed over, as in transformers; broken UTF-8 gives
 * U+FFFD. */
int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t count, bool skip_special,
                     struct str *out);

/* Text while ids are being made: what tok_stream_add and tok_stream_finish append, put together, is the
 * text of all ids; a character that several tokens make comes when it is complete. */
struct tok_stream;
struct tok_stream *tok_stream_create(const struct tokenizer *t,
                                     bool skip_special); /* the tokenizer outlives it */
void tok_stream_free(struct tok_stream *s);
int tok_stream_add(struct tok_stream *s, int32_t id, struct str *out);
int tok_stream_finish(struct tok_stream *s, struct str *out); /* the rest; then it is as new */

/* ---- saving ---- */

/* tokenizer.json, the model's own files (vocab.json + merges.txt) and tokenizer_config.json, into a
 * directory that is there; opened by transformers' AutoTokenizer it gives the same ids. */
int tokenizer_save(const struct tokenizer *t, const char *directory);
void tokenizer_write(const struct tokenizer *t, struct str *out); /* the text of tokenizer.json, appended */

/* ---- training ---- */

enum tok_train_type { TOK_TRAIN_BYTE_LEVEL, TOK_TRAIN_WORDPIECE, TOK_TRAIN_UNIGRAM, TOK_TRAIN_SENTENCEPIECE };

struct tok_train_options { /* 0 and NULL: the default */
    enum tok_train_type type;
    int64_t vocab_size;          /* special tokens and alphabet included */
    int64_t min_frequency;       /* of a pair that is merged; not of Unigram */
    const char *const *specials; /* special tokens, first in the vocabulary */
    size_t special_count;
    const char *unk_token; /* one of the specials; by its usual spelling */
    bool add_prefix_space; /* of byte-level */
    /* Names between commas (train_pipeline.c), JSON as in tokenizer.json, or "none". */
    const char *normalizer, *pre_tokenizer;
    bool byte_fallback;     /* of Unigram and SentencePiece-style: tokens for bytes instead of unknown ones */
    int64_t limit_alphabet; /* most characters that become tokens, of WordPiece and SentencePiece-style */
    int64_t max_token_length; /* of BPE: characters that merges do not reach (bytes, where byte-level) */
    int64_t max_piece_length; /* characters, of Unigram: 16 */
    int64_t seed_size;        /* pieces Unigram begins with: 1,000,000 */
    int64_t sub_iterations;   /* of EM between two prunings: 2 */
    double shrinking_factor;  /* what a pruning leaves: 0.75 */
};

/* Counts words as text comes in, then trains what tokenizers' BpeTrainer, WordPieceTrainer or
 * UnigramTrainer trains. */
struct tok_trainer;
int tok_trainer_create(const struct tok_train_options *options, struct tok_trainer **out); /* ERR_CONFIG */
void tok_trainer_free(struct tok_trainer *t);
/* One document: words do not cross its ends. ERR_DATA when it is not UTF-8. Tiles of parallel_for may call
 * it at the same time. */
int tok_trainer_feed(struct tok_trainer *t, const char *text, size_t length);
/* A text: each line, its line break included, is a document. name is for messages. On all
 * threads. */
int tok_trainer_feed_lines(struct tok_trainer *t, const char *name, const char *text, size_t length);
/* The merges. progress may be NULL: done of total. */
int tok_trainer_finish(struct tok_trainer *t, void (*progress)(void *context, int64_t done, int64_t total),
                       void *context, struct tokenizer **out);

#endif
