/* gen -- generation: prompts in, continuations out. Prompts of any lengths run together as packed token rows,
 * without padding; each gives, token for token, what transformers' generate gives for it alone, whatever else
 * is in the batch.
 *
 * Two executors of one model share a store, and so weights and cache: `prefill` takes prompts in chunks of
 * rows and makes logits for their last tokens only, `decode` takes one row for each sequence that runs. A
 * prompt has `width` rows of the cache (beams, or samples of it); it is prefilled once, into the first of
 * them, and the others read it there: which row holds position t of a sequence is in a table, so that copying
 * a beam copies numbers, never keys and values. A prompt that ends makes room for the next at once.
 *
 * A model with an encoder has the prompt there: prefill encodes it, whole, and puts the keys and values that
 * the decoder's layers take of it into caches with a row for each prompt, which all its sequences read. What
 * is generated begins with decoder_start_token_id, and prefill gives the logits after that. */
#ifndef PLAIT_GEN_GEN_H
#define PLAIT_GEN_GEN_H

#include "comm/comm.h"
#include "exec/exec.h"
#include "gen/options.h"
#include "tok/tok.h"

struct generator;

struct generator_capacity {
    int64_t prompts;           /* that run at the same time, on each copy of the model */
    int64_t width;             /* sequences of each: generation_width */
    int64_t positions;         /* tokens of a sequence, without the last one generated */
    int64_t encoder_positions; /* tokens of a prompt, of models with an encoder */
    int64_t chunk;             /* rows of a prefill step; 0: a good number. An encoder takes whole prompts */
    double memory;             /* bytes that all may take, weights included; 0: any */
    enum dtype dtype;          /* see compile_options */
    struct cluster cluster;    /* what ranks cost; see plan/plan.h */
    const struct partition_rules *rules; /* see compile_options; outlive the generator's creation */
};

/* Compiles and binds. The parameters are found in the store or made there (zero; fill them after). A store
 * holds the cache of one generator at a time; it goes when the generator is freed, the weights stay. config,
 * store and comm outlive the generator.
 *
 * comm NULL: one rank; else the generators of all its ranks divide the model among them, or the prompts among
 * copies of it, each on its own store, and are run alike: all give all results.
 *
 * ERR_CONFIG: no language model; ERR_SYSTEM: no memory, naming both figures. */
int generator_create(const struct config *config, struct store *store, const struct generator_capacity *c,
                     struct comm *comm, struct generator **out);
void generator_free(struct generator *g); /* NULL is fine */
/* What a layout is weighed by: the plan of a decoding step of one rank of tp; and what the rank takes that
 * takes most. */
int generator_step_plan(const struct config *config, const struct generator_capacity *c,
                        const struct mesh *mesh, struct plan **out);
int generator_bytes(const struct config *config, const struct generator_capacity *c, const struct mesh *mesh,
                    int64_t *bytes);

struct prompt {
    const int32_t *ids; /* borrowed */
    int64_t length;
};

struct generated {
    int32_t *ids;           /* prompt (with an encoder: the start token), continuation, and padding up to
                               the longest of the same prompt */
    int64_t length, padded; /* without and with padding */
    float score;            /* of a beam: see beam.h */
};

struct generation_request {
    const struct prompt *prompts;
    size_t count;
    const struct generation_options *options;
    const struct tokenizer *tokenizer; /* for stop strings; may be NULL without them */
    /* Each may be NULL. token: one was added to sequence `sequence` of the prompt; with beams all tokens come
     * when the prompt is done. done: the prompt's results are there. proceed: asked before every step; false
     * ends the run. */
    void (*token)(void *context, size_t prompt, int64_t sequence, int32_t id);
    void (*done)(void *context, size_t prompt, const struct generated *results);
    bool (*proceed)(void *context); /* each rank is asked, threads of one process at the same time */
    void *context;
};

struct generation_results {
    struct generated *items; /* [prompt * num_return_sequences + i]; ids NULL when the run was ended before */
    size_t count;
    bool stopped; /* by `proceed` */
    int64_t prompt_tokens, new_tokens, steps;
    double prefill_seconds, decode_seconds;
};

/* ERR_CONFIG: options or lengths that cannot be, with transformers' sentences; ERR_DATA: ids that the model
 * has not, or weights that give no numbers. */
int generator_run(struct generator *g, const struct generation_request *request,
                  struct generation_results *out);
void generation_results_release(struct generation_results *r);

/* The positions that a generator needs for these prompts, its encoder included; c's other members stay. */
int generation_room(const struct generation_request *request, const struct config *config,
                    struct generator_capacity *c);

#endif
