#ifndef PLAIT_GEN_GEN_INTERNAL_H
#define PLAIT_GEN_GEN_INTERNAL_H

#include "gen/beam.h"
#include "gen/gen.h"
#include "gen/process.h"
#include "gen/sample.h"

/* ---- feed.c: what executors are fed ---- */

struct feed { /* inputs of an executor; rows and labels are counted as they are added */
    int32_t *ids, *positions, *order, *longest, *slot, *label_rows, *source;
    int64_t rows, labels, row_capacity, label_capacity;
    int64_t first_position; /* position id of a sequence's first row */
    /* With an encoder: what its rows are fed, and where the decoder's rows find what became of them. */
    int32_t *encoder_ids, *encoder_order, *encoder_key_order, *encoder_offsets, *encoder_slot;
    int32_t *cross_slot, *cross_last;
    int64_t encoder_rows, encoder_sequences, encoder_capacity;
    int64_t source_count; /* numbers in the table */
    bool own;             /* the arrays lie here: feed_make */
};

/* The arrays are the inputs of e; or lie here, to be dealt out to microbatches. */
void feed_bind(struct feed *f, struct executor *e);
void feed_make(struct feed *f);
void feed_release(struct feed *f);
void feed_clear(struct feed *f); /* nothing is fed */

/* length: of the sequence, as far as it is known. */
void feed_row(struct feed *f, int32_t id, int64_t position, int64_t length, int64_t slot);
/* The row added last attends to a prompt of `length` tokens in row `slot` of the cross caches. */
void feed_cross(struct feed *f, int64_t slot, int64_t length);
/* A prompt for the encoder, to be kept in that row. */
void feed_prompt(struct feed *f, const struct prompt *p, int64_t slot);
void feed_label(struct feed *f); /* the logits of the row added last are wanted */

struct run_counts feed_counts(const struct feed *f);
struct feed_span { /* first and count of what a microbatch has */
    int64_t row, rows, label, labels, encoder_row, encoder_rows, sequences;
};
void feed_part(const struct feed *f, int part, int parts, struct feed_span *s);
/* Puts a span of an own feed into the inputs of e. */
struct run_counts feed_copy(const struct feed *f, const struct feed_span *s, struct executor *e);

/* ---- generator.c: two executors ---- */

enum phase { PREFILL, DECODE, PHASES };

struct generator {
    const struct config *config;
    struct comm *comm;
    struct mesh mesh;    /* of one copy of the model */
    int rank;            /* in it */
    struct store *store; /* NULL until the cache lies there */
    struct generator_capacity capacity;
    struct plan *plans[PHASES];
    struct executor *executors[PHASES];
    struct feed feeds[PHASES];
    int microbatches; /* of a step, with stages */
    int32_t *table;   /* [width, positions] scratch for reordering the table of sources */
};

/* Runs what was fed, empties the feed. `choose` gets the logits of all labels, some at a time, where they are
 * made: on the ranks of the last stage. They may be overwritten. */
struct logits {
    float *values; /* [count][stride]; V of a row are used */
    int64_t stride;
    int64_t first, count; /* labels */
};
typedef void choose_fn(void *context, const struct logits *l);
int generator_step(struct generator *g, enum phase phase, choose_fn *choose, void *context);
/* Gives all ranks what those of the last stage have. */
int generator_share(struct generator *g, int32_t *words, int64_t count);
bool generator_chooses(const struct generator *g); /* this is such a rank */

/* The table of sources of one prompt's rows, `first` being the first of them. */
void sources_begin(struct generator *g, int64_t first, int64_t prompt);
/* Sequence i goes on where sequence parents[i] was; `length` positions are in the cache. */
void sources_reorder(struct generator *g, int64_t first, const int32_t *parents, int64_t count,
                     int64_t length);

/* ---- group.c: a prompt that runs, with its sequences ---- */

struct group {
    bool active;
    size_t prompt; /* its number in the request */
    int64_t first; /* row of the cache */
    int64_t prompt_length, limit, count;
    int64_t cross, encoded; /* with an encoder: row of the cross caches, tokens there */
    int32_t **ids;          /* [count][limit] without beams */
    int64_t *lengths;       /* [count] */
    bool *ended;            /* [count] */
    int32_t *chosen;        /* [count] the next token of each, from row_choose to group_advance */
    bool searching;         /* beam search, in `beams` */
    struct beam_search beams;
    struct top_list *candidates; /* [beams] from row_choose to group_advance */
};

/* ---- copies.c: prompts among copies of the model ---- */

struct copies {
    int count, own;
    int64_t *room;  /* [count] prompts that each may still take */
    size_t *taken;  /* [prompts of capacity] dealt to this one */
    int32_t *words; /* what has happened here, for the others */
    int64_t word_count;
    size_t word_capacity;
};

/* ---- run.c ---- */

struct run {
    struct generator *g;
    const struct generation_request *request;
    const struct generation_options *o;
    struct stop_strings stop;
    struct generation_results *results;
    struct group *groups; /* [capacity.prompts] */
    struct copies copies;
    size_t next;            /* prompt to be dealt out next */
    int32_t start;          /* with an encoder: what the decoder begins with */
    struct row *rows;       /* scratch, one for each row of decode */
    struct choice *choices; /* [threads] with do_sample */
    float **scratch;        /* [threads][positions + 1] */
    int threads;
    struct group **waiting; /* groups whose last row is in the prefill feed */
};

enum row_problem { ROW_FINE, ROW_NOT_FINITE, ROW_FORBIDDEN };

struct row { /* logits of the next token, and the sequences of a group that they are for */
    struct run *run;
    struct group *group;
    float *logits;
    int64_t first, count;
    enum row_problem problem;
};

void group_begin(struct run *run, struct group *g, size_t prompt, const int32_t *ids, int64_t length);
void group_release(struct group *g);
struct sequence_view group_sequence(const struct group *g, int64_t i);
/* Chooses the next token, or the candidates for it, of a row's sequences. Runs on any thread. */
void row_choose(void *rows, int64_t tile);
/* What was chosen for a row, as words; and the way back, on ranks that have chosen nothing. */
int64_t row_words(const struct row *r);
void row_pack(const struct row *r, int32_t *words);
void row_unpack(struct row *r, const int32_t *words);
/* Takes what was chosen; group->active becomes false, and its results are made, when all is done. */
void group_advance(struct run *run, struct group *g);

/* ---- copies.c ---- */

void copies_begin(struct run *run);
void copies_end(struct run *run);
bool copies_busy(const struct run *run); /* something runs on any of them, or waits */
/* Deals out prompts as long as there is room; returns how many copies.taken has for this one. */
int64_t copies_deal(struct run *run);
void copies_tell_token(struct run *run, size_t prompt, int64_t sequence, int32_t id);
void copies_tell_result(struct run *run, size_t prompt, int64_t i, int64_t new_tokens);
int copies_exchange(struct run *run); /* after a step, on every rank: all hear what was told */

#endif
