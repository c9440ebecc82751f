/* objective -- what a model is shown of a sample, and what it should say.
 *
 *     clm              every token is the label of the row before it
 *     mlm              some tokens are hidden and are the labels of their own rows
 *     span_corruption  spans of tokens are cut out of what the encoder reads; the decoder writes them
 *     seq2seq          the decoder writes the target of what the encoder reads; without an encoder the target
 *                      follows its source, which has no labels
 *     classification   one row has the label of the sample: the first; in causal models the last; with an
 *                      encoder that of the last eos, where the decoder reads what the encoder does
 *
 * What is random is a function of (seed, epoch, number of the sample) alone: no layout and no history enters.
 */
#ifndef PLAIT_DATA_OBJECTIVE_H
#define PLAIT_DATA_OBJECTIVE_H

#include "data/batch.h"
#include "data/sample.h"

enum objective_kind {
    OBJECTIVE_CLM,
    OBJECTIVE_MLM,
    OBJECTIVE_SPAN_CORRUPTION,
    OBJECTIVE_SEQ2SEQ,
    OBJECTIVE_CLASSIFICATION,
    OBJECTIVE_COUNT
};
extern const char *const objective_names[OBJECTIVE_COUNT + 1]; /* ends with NULL */

struct objective { /* all zero: clm */
    enum objective_kind kind;
    bool encoder;            /* the model has one */
    bool causal;             /* classification: the last row sees all others, not the first */
    bool documents;          /* clm: no attention across the documents of a sample */
    int64_t classes;         /* classification: a sample's class is below it; 0: numbers */
    int64_t rows;            /* seq2seq without an encoder: tokens of source and target, at most */
    int64_t vocab;           /* of the tokenizer: random words are below it, sentinels at its end */
    double noise, mean_span; /* mlm_probability, mean_noise_span_length */
    int32_t mask, eos, decoder_start;
    const bool *special;    /* [vocab] tokens that are never masked; NULL: none */
    int64_t first_position; /* position id of a sequence's first row */
};

/* Whether it is told in evaluations how many labels were the likeliest: not of the next token of any text,
 * nor of numbers. */
bool objective_has_hits(const struct objective *o);

/* How much a sample can become: by the longest that there is, and, for places in random streams, by the most
 * that its source may have. So a mask is the same whatever other samples there are. */
struct example_sizes {
    int64_t rows, encoder_rows, sequences;
    int64_t places, encoder_places; /* of a sample */
};
void objective_sizes(const struct objective *o, const struct sample_source *source,
                     struct example_sizes *sizes);

struct example {           /* what the model is shown */
    int32_t *ids, *labels; /* [length] a row's own label, -100: none */
    int64_t length;
    int32_t *encoder_ids;
    int64_t encoder_length;
    int64_t label_shift;         /* a row's label is the sample's so many places later */
    const struct sample *sample; /* the rest: token types, documents, numbers */
};
void example_init(struct example *e, const struct example_sizes *sizes);
void example_release(struct example *e);

struct example_key { /* what its random numbers depend on */
    uint64_t seed;
    int64_t epoch, index;
};
/* The sample stays in use as long as the example. ERR_DATA for a sample that cannot be shown. */
int objective_apply(const struct objective *o, const struct example_key *key, const struct sample *s,
                    struct example *e);
/* Packs it. place: of its first row; encoder_place: of its encoder's. */
void example_pack(const struct objective *o, const struct example *e, struct batch *b, int64_t place,
                  int64_t encoder_place);

/* ---- spans.c: Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text
 * transformer", JMLR 2020: random_spans_noise_mask and random_spans_helper of its code ---- */

/* Tokens that become inputs_length rows of the encoder, and targets_length of the decoder. */
void span_lengths(int64_t inputs_length, double noise, double mean_span, int64_t *tokens_length,
                  int64_t *targets_length);
/* The two of a sample of `length` tokens. */
void span_sizes(int64_t length, double noise, double mean_span, struct example_sizes *sizes);
void span_corrupt(const struct objective *o, const struct example_key *key, const struct sample *s,
                  struct example *e);

#endif
