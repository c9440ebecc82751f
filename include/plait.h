/* plait -- trains, fine-tunes and runs transformer language models: the library.
 *
 *     struct plait_model *m;
 *     if (plait_model_open("gpt2", NULL, &m) != PLAIT_OK)
 *         fprintf(stderr, "%s\n", plait_error());
 *
 * Rules for the whole page:
 *
 *   Errors      A function that can fail returns PLAIT_OK (0) or a PLAIT_ERROR_ value, and writes results
 *               only on success. plait_error() is one complete sentence about the last failure on this
 *               thread. An argument that may not be NULL, a size that cannot be and the like give
 *               PLAIT_ERROR_USAGE. A process that is refused a small piece of memory ends with one line and
 *               exit code 71; large pieces give PLAIT_ERROR_SYSTEM.
 *   Ownership   What _open, _create, _load or a `struct ... **out` gives is the caller's, who hands it to the
 *               _free function of its kind (NULL is fine there). Pointers given to a function are read during
 *               the call only, unless said otherwise. Strings that are returned belong to the library.
 *   Threads     Different handles may be used by different threads at the same time; one handle by one thread
 *               at a time. Computation uses the threads of the calling thread's team: plait_threads_set.
 *   Ranks       No function is collective: where a run has several ranks, they are threads that the function
 *               makes and joins itself.
 *   Structs     A struct begins with `size`, its size as the caller was compiled; what else is zero or NULL
 *               has its default: struct plait_samples s = { .size = sizeof(s) }. Later versions add members
 *               at the end only. Members that say yes or no are int, 0 or 1.
 *   Options     Many functions take options by name and value: those of the program's commands, under the
 *               same names and with the same values, as plait(1) lists them and `plait COMMAND --help` prints
 *               them. They are an array of names and values in turn that ends with NULL; NULL: none.
 *
 *                   const char *options[] = { "dtype", "bfloat16", "tensor_parallel_size", "2", NULL };
 *
 *               An option that takes several values is given once for each. PLAIT_ERROR_USAGE for a name or
 *               value that cannot be.
 *   Letters     B samples, T tokens of a sample, N token rows, D width, R labelled rows, V vocabulary.
 *
 * The library writes notes and the lines of a training run to stderr; plait_log_set quietens it. */
#ifndef PLAIT_H
#define PLAIT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PLAIT_API __attribute__((visibility("default")))
#else
#define PLAIT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version, errors, log, threads ---- */

enum {
    PLAIT_OK = 0,
    PLAIT_ERROR_USAGE = -64,    /* wrong argument or option */
    PLAIT_ERROR_DATA = -65,     /* bad data, in a file or from a callback */
    PLAIT_ERROR_OPEN = -66,     /* cannot open */
    PLAIT_ERROR_INTERNAL = -70, /* a mistake of the library */
    PLAIT_ERROR_SYSTEM = -71,   /* out of memory or another resource */
    PLAIT_ERROR_CREATE = -73,   /* cannot create */
    PLAIT_ERROR_IO = -74,       /* read or write failed */
    PLAIT_ERROR_STOPPED = -75,  /* stopped on request, with a checkpoint */
    PLAIT_ERROR_CONFIG = -78    /* configuration that cannot be */
};

/* "0.1.0". Valid for ever. */
PLAIT_API const char *plait_version(void);
/* The sentence of this thread's last call that can fail; "" when it succeeded. Valid until the next such
 * call. */
PLAIT_API const char *plait_error(void);
/* A line of advice that goes with it; "" when there is none. Valid as plait_error. */
PLAIT_API const char *plait_error_hint(void);

enum { PLAIT_LOG_ERROR, PLAIT_LOG_WARNING, PLAIT_LOG_INFO, PLAIT_LOG_DEBUG };
/* Which lines go to stderr, for the whole process: none of the library's at PLAIT_LOG_ERROR, warnings, lines
 * of a run and notes too (the default), all. PLAIT_ERROR_USAGE for another level. */
PLAIT_API int plait_log_set(int level);

/* How many threads compute for calls made by this thread; all processors it may run on at first. Results have
 * the same bits whatever the number. PLAIT_ERROR_USAGE below 1 or above 65536. */
PLAIT_API int plait_threads_set(int threads);
PLAIT_API int plait_threads_get(void);

/* ---- Arrays ---- */

enum { PLAIT_INT32, PLAIT_INT64, PLAIT_FLOAT32 }; /* types of elements */
enum { PLAIT_DIMS = 4 };

/* Elements in memory, row-major without gaps. */
struct plait_array {
    const char *name;
    int type; /* PLAIT_INT32 ... */
    int ndim; /* 0: one element */
    int64_t shape[PLAIT_DIMS];
    const void *data;
};

/* ---- Models ---- */

struct plait_model;

/* Opens a model directory as transformers writes it (config.json and its weights), or a name in the hub's
 * cache on this machine; a checkpoint is such a directory. Weights are checked now and read when first
 * wanted, so the files must stay as they are while the model is open. Options: those of `plait forward` under
 * Model, Computing and Ranks, such as cache_dir, config_overrides, dtype and tensor_parallel_size: what is
 * done with the model later is done so. With world_size alone the sizes of the layout are found when the
 * model first runs, by what it then runs; training finds its own. PLAIT_ERROR_OPEN naming the places looked
 * in, _DATA, _CONFIG. */
PLAIT_API int plait_model_open(const char *name, const char *const *options, struct plait_model **out);
/* A new model with random weights, functions of the option seed. config: a directory, a config.json, or the
 * name of a config that the library knows ("gpt2", "google-t5/t5-small"). Options and errors as above. */
PLAIT_API int plait_model_create(const char *config, const char *const *options, struct plait_model **out);
PLAIT_API void plait_model_free(struct plait_model *m);

/* Writes a model directory that transformers' from_pretrained opens: all files appear, config.json last, or
 * none. Options: those of `plait init` under What to change and Files: vocab_size, new_rows, tokenizer_name,
 * save_dtype, max_shard_size; and save_sharded: in the pieces of the layout that the model was opened for. */
PLAIT_API int plait_model_save(struct plait_model *m, const char *directory, const char *const *options);
/* The model of a checkpoint in pieces, which the option save_sharded makes, as such a directory;
 * whatever its size, little of it is in memory at a time. Options: max_shard_size. PLAIT_ERROR_OPEN, _DATA,
 * _CREATE. A checkpoint in pieces opens on any layout without that. */
PLAIT_API int plait_checkpoint_merge(const char *source, const char *directory, const char *const *options);

/* What a model is. 0 or NULL when m is NULL. */
PLAIT_API const char *plait_model_type(const struct plait_model *m);  /* "gpt2"; valid for ever */
PLAIT_API const char *plait_model_class(const struct plait_model *m); /* "GPT2LMHeadModel"; the same */
PLAIT_API int64_t plait_model_vocab_size(const struct plait_model *m);
PLAIT_API int64_t plait_model_max_length(const struct plait_model *m); /* positions */
PLAIT_API int64_t plait_model_width(const struct plait_model *m);
PLAIT_API int64_t plait_model_layer_count(const struct plait_model *m);
/* The directory of config.json; NULL when the config is built in. Valid as long as m, or until it is trained.
 */
PLAIT_API const char *plait_model_directory(const struct plait_model *m);
/* A key of config.json as JSON; NULL when it is absent. Valid as above. */
PLAIT_API const char *plait_model_config(const struct plait_model *m, const char *key);

/* Parameters, in the order of a state dict and under the names of Hugging Face's files. The first call makes
 * the list; -1 when m is NULL or the list cannot be made (plait_error). */
PLAIT_API int64_t plait_model_param_count(struct plait_model *m);
/* NULL beyond the last. Valid as long as m, or until it is trained. */
PLAIT_API const char *plait_model_param_name(struct plait_model *m, int64_t index);
/* Number of dims; at most `capacity` of them go to dims (may be NULL when capacity is 0). -1 beyond the last.
 */
PLAIT_API int plait_model_param_shape(struct plait_model *m, int64_t index, int64_t *dims, int capacity);
/* Copies a parameter's values as float32, row-major in the dims of the file. count: elements of values, all
 * of the parameter's. PLAIT_ERROR_USAGE: another count or no such name. */
PLAIT_API int plait_model_param_read(struct plait_model *m, const char *name, float *values, int64_t count);

/* ---- Forward and gradients ---- */

struct plait_builder;
struct plait_tensor;
/* A loss of a program's own: builds, from the ops below, the sum of the losses of a microbatch's labels, a
 * scalar. Called when a run is planned, never in a step; the rest (gradient, ranks, memory) is the library's.
 * NULL: failed, and the first op that could not be is told. */
struct plait_loss {
    struct plait_tensor *(*build)(void *context, struct plait_builder *b);
    void *context;
};

enum { PLAIT_LOGITS = 1, PLAIT_GRADIENTS = 2 };

/* As transformers' forward, without dropout. inputs: `count` arrays, integers [B, T], under the names of its
 * arguments, each where the model has it:
 *
 *     input_ids                  must be there
 *     attention_mask             1, or 0 where nobody may attend to a token
 *     token_type_ids, position_ids
 *     decoder_input_ids          [B, T']; without it the labels, one place later
 *     decoder_attention_mask     [B, T']
 *     labels                     -100: none. A causal model predicts token t's from token t - 1. Of a
 *                                classification [B] classes, or float32 [B] or [B, L]: numbers, or a share
 *                                of each label
 *
 *     targets                    float32 [B, T'], or [B, T', W]: numbers that go with labels, for a loss of
 *                                your own; of a classification [B], or [B, W]
 *
 * wanted: PLAIT_LOGITS (of a model without a head its hidden states), PLAIT_GRADIENTS of the mean loss, both,
 * or 0: the loss alone, which is faster. loss NULL: that of the head. What comes out is kept until the
 * next forward of m. The first call, one with more tokens or that wants something else, and each with a loss
 * of your own take time to plan. PLAIT_ERROR_DATA naming the array that is wrong. */
PLAIT_API int plait_model_forward(struct plait_model *m, const struct plait_array *inputs, int64_t count,
                                  int wanted, const struct plait_loss *loss);
/* Sets *out to what the last forward gave, float32 unless said; its data is valid until the next forward, or
 * until m is trained or evaluated.
 *
 *     logits          [B, T, V], of a classification [B, L]
 *     hidden_states   [B, T, D], of a model without a head; pooler_output [B, D] if it has such
 *     loss            one number, the mean over the labels; NAN without any
 *     label_count     how many labels there were; int64
 *
 * PLAIT_ERROR_USAGE: there is no such thing. */
PLAIT_API int plait_model_output(struct plait_model *m, const char *name, struct plait_array *out);
/* A parameter's gradient from the last forward with gradients, as plait_model_param_read. PLAIT_ERROR_USAGE
 * when there was none. */
PLAIT_API int plait_model_gradient_read(struct plait_model *m, const char *name, float *values,
                                        int64_t count);

/* ---- Tokenizers ---- */

struct plait_tokenizer;

/* A tokenizer.json, or a directory with it or with vocab.json and merges.txt. PLAIT_ERROR_OPEN, _DATA. */
PLAIT_API int plait_tokenizer_load(const char *path, struct plait_tokenizer **out);
PLAIT_API void plait_tokenizer_free(struct plait_tokenizer *t);
/* tokenizer.json, vocab.json, merges.txt, tokenizer_config.json, into a directory that is made if need be. */
PLAIT_API int plait_tokenizer_save(const struct plait_tokenizer *t, const char *directory);

/* A tokenizer learnt from text. Options: those of `plait tokenizer train` but output_dir: files must be
 * there; tokenizer_type, vocab_size, special_tokens and so on. PLAIT_ERROR_OPEN, _DATA (not UTF-8), _CONFIG.
 */
PLAIT_API int plait_tokenizer_train(const char *const *options, struct plait_tokenizer **out);

/* Distinct tokens, added ones included. 0 when t is NULL. */
PLAIT_API int64_t plait_tokenizer_size(const struct plait_tokenizer *t);
/* -1 when there is no such token. length: bytes of token. */
PLAIT_API int32_t plait_tokenizer_id(const struct plait_tokenizer *t, const char *token, size_t length);
/* NULL when there is no such id. *length (may be NULL): its bytes. Valid as long as t. */
PLAIT_API const char *plait_tokenizer_token(const struct plait_tokenizer *t, int32_t id, size_t *length);

enum {
    PLAIT_TOKEN_BOS,
    PLAIT_TOKEN_EOS,
    PLAIT_TOKEN_UNK,
    PLAIT_TOKEN_SEP,
    PLAIT_TOKEN_PAD,
    PLAIT_TOKEN_CLS,
    PLAIT_TOKEN_MASK,
    PLAIT_TOKEN_COUNT
};
/* The id of the token that plays this part; -1 when there is none. */
PLAIT_API int32_t plait_tokenizer_special_id(const struct plait_tokenizer *t, int which);

/* The ids of `length` bytes of UTF-8 text: returns how many there are in all, or a PLAIT_ERROR_ (below 0).
 * At most `capacity` of them go to ids (may be NULL when it is 0), so that a first call may ask how many.
 * special: add what the tokenizer puts around a text. */
PLAIT_API int64_t plait_tokenizer_encode(struct plait_tokenizer *t, const char *text, size_t length,
                                         int special, int32_t *ids, int64_t capacity);
/* The text of ids: returns its bytes in all, without a NUL, or a PLAIT_ERROR_. At most capacity - 1 of them
 * go to text, and then a NUL (text may be NULL when capacity is 0). skip_special: leave special tokens out.
 */
PLAIT_API int64_t plait_tokenizer_decode(const struct plait_tokenizer *t, const int32_t *ids, int64_t count,
                                         int skip_special, char *text, size_t capacity);

#define PLAIT_TO_NUL ((size_t)-1) /* the length of a text that ends with a NUL */

struct plait_text {
    const char *text;
    size_t length;    /* bytes, or PLAIT_TO_NUL */
    const char *pair; /* a second text that belongs to it; NULL: none */
    size_t pair_length;
};

/* Many texts, or pairs of them, on all threads. Options: those of `plait tokenizer encode` under Encoding,
 * such as padding, truncation and max_length, with the meaning they have for transformers' tokenizers; what
 * is not given is as in tokenizer.json. PLAIT_ERROR_CONFIG: there is no token to pad with. */
struct plait_tokens;
PLAIT_API int plait_tokenizer_encode_batch(const struct plait_tokenizer *t, const char *const *options,
                                           const struct plait_text *texts, int64_t count,
                                           struct plait_tokens **out);
PLAIT_API void plait_tokens_free(struct plait_tokens *t);
/* The ids of a text with its padding, as long as t; *length: how many. NULL, and 0, beyond the last. */
PLAIT_API const int32_t *plait_tokens_ids(const struct plait_tokens *t, int64_t index, int64_t *length);
/* "input_ids", "attention_mask" or "token_type_ids" of all texts, [B, T], for plait_model_forward; data is
 * valid as long as t. PLAIT_ERROR_USAGE: texts are not of one length. */
PLAIT_API int plait_tokens_array(const struct plait_tokens *t, const char *name, struct plait_array *out);

/* Text while ids are being made: the pieces put together are the text of all ids; a character that several
 * tokens make comes when it is complete. The tokenizer outlives it. */
struct plait_decoder;
PLAIT_API int plait_decoder_create(const struct plait_tokenizer *t, int skip_special,
                                   struct plait_decoder **out);
PLAIT_API void plait_decoder_free(struct plait_decoder *d);
/* *text: what this id completes, maybe "", ending with a NUL; *length (may be NULL): its bytes. Valid until
 * the decoder's next call. */
PLAIT_API int plait_decoder_add(struct plait_decoder *d, int32_t id, const char **text, size_t *length);
/* The rest; then the decoder is as new. */
PLAIT_API int plait_decoder_finish(struct plait_decoder *d, const char **text, size_t *length);

/* ---- Generation ---- */

struct plait_generate_request {
    size_t size;
    /* `count` prompts of lengths[i] ids, continued together; each gives what it gives alone. One without ids
     * begins with the beginning-of-sequence token. A model with an encoder reads the prompt there. */
    const int32_t *const *prompts;
    const int64_t *lengths;
    int64_t count;
    const struct plait_tokenizer *tokenizer; /* for the option stop_strings; may be NULL without it */
    /* A token was added to sequence `sequence` of prompt `prompt`; not 0 ends the whole. With beams, all
     * tokens of a prompt come when it is done. Called on the caller's thread where the model is on one rank.
     * May be NULL. */
    int (*token)(void *context, int64_t prompt, int64_t sequence, int32_t id);
    void *context;
};

/* Options: those of `plait generate` under Running and Generation, such as max_new_tokens, num_beams and
 * do_sample; what is not given is as in the model's generation_config.json. PLAIT_ERROR_CONFIG: a model
 * without a language-model head, or lengths that cannot be; _DATA: ids that the model has not. */
struct plait_generation;
PLAIT_API int plait_model_generate(struct plait_model *m, const char *const *options,
                                   const struct plait_generate_request *request,
                                   struct plait_generation **out);
PLAIT_API void plait_generation_free(struct plait_generation *g);
/* Sequences: prompts times num_return_sequences, those of a prompt side by side, the best first. */
PLAIT_API int64_t plait_generation_count(const struct plait_generation *g);
/* Prompt (with an encoder: the token that the decoder begins with) and continuation, the end token included,
 * as long as g; *length: how many. NULL, and *length 0, beyond the last, and for a prompt that was not done
 * when the token callback ended the whole. */
PLAIT_API const int32_t *plait_generation_ids(const struct plait_generation *g, int64_t index,
                                              int64_t *length);
/* Of a beam: its log-probability, divided by length ** length_penalty. 0 without beams. */
PLAIT_API double plait_generation_score(const struct plait_generation *g, int64_t index);

struct plait_filling {
    int64_t position; /* of the mask */
    int32_t token;
    double probability;
};
/* What a masked-LM model puts in the place of the tokens `mask` among ids: to out go the best fillings of
 * each, capacity divided by the number of masks, best first. Returns how many, or a PLAIT_ERROR_: _CONFIG for
 * a model that is none, _DATA where there is no mask. */
PLAIT_API int64_t plait_model_fill_mask(struct plait_model *m, const int32_t *ids, int64_t length,
                                        int32_t mask, struct plait_filling *out, int64_t capacity);

/* ---- Training and evaluation ---- */

/* Samples of a program's own, in place of files. */
struct plait_sample;
struct plait_samples {
    size_t size;
    int64_t count;      /* samples of an epoch, at least 1 */
    int64_t max_length; /* T: tokens of a sample, at most */
    int64_t max_labels; /* with an encoder: tokens that its decoder writes, at most; 0: max_length */
    /* Sets the arrays of sample `index`, 0 .. count-1: the same whenever and on whichever thread it is asked
     * for (ranks ask at the same time). Each epoch asks for all in an order of its own, or with the option
     * no_shuffle from 0 on: then, with a count that no run comes to the end of, index is the number of the
     * sample in the whole run. Not 0 ends the run with PLAIT_ERROR_DATA. */
    int (*read)(void *context, int64_t index, struct plait_sample *sample);
    void *context;
    const char *identity; /* names the data in checkpoints: a run goes on with the same alone; NULL: not */
    int64_t target_width; /* numbers that a loss of your own gets with each label; 0: none */
};

/* Within `read`: copies an array into the sample. T is what input_ids has; all arrays but labels of a decoder
 * and of a classification have as many.
 *
 *     input_ids        integers [T]: must be set
 *     attention_mask   integers [T]: tokens at the end that are 0 are padding, and left out
 *     token_type_ids   integers [T]
 *     labels           integers [T], -100: none; without it a causal model learns input_ids, and a masked-LM
 *                      model hides tokens by itself, which needs a tokenizer. With an encoder what the
 *                      decoder writes, any number up to max_labels; without it spans of input_ids when the
 *                      option objective is span_corruption. Of a classification a class, or numbers [L]
 *     targets          float32 [T, target_width], or as many as there are labels
 *
 * PLAIT_ERROR_USAGE, _DATA; `read` may leave it to the library to notice. */
PLAIT_API int plait_sample_set(struct plait_sample *sample, const struct plait_array *array);

struct plait_train_progress {
    size_t size;
    int64_t step, total_steps; /* done, of */
    double epoch;
    double loss; /* mean over the labels since the last log line, in nats; NAN when there were none */
    double learning_rate, grad_norm;        /* of this step; the norm before clipping */
    double tokens_per_second, seconds_left; /* below 0: not known yet */
};

/* What a program may bring of its own. */
struct plait_training {
    size_t size;
    const struct plait_samples *train, *eval; /* NULL: the files that options name; eval NULL: none */
    const struct plait_loss *loss;            /* NULL: that of the model's head; for evaluation too */
    /* After each step, on a thread of the run's; not 0 stops with a checkpoint. May be NULL. */
    int (*progress)(void *context, const struct plait_train_progress *p);
    void *context;
};

/* Trains m. Options: those of `plait train` without those of plait_model_open: output_dir must be there,
 * train_file or own->train; objective says what is learned where the model's class does not. At the end
 * output_dir is a model directory, and m holds its weights and is as opened from there. On failure m is as
 * before; PLAIT_ERROR_STOPPED: progress or an option stopped the run, output_dir has a checkpoint, and the
 * same options with resume_from_checkpoint "auto" go on from it, to the same bits. own may be NULL.
 * PLAIT_ERROR_USAGE, _CREATE (output_dir is not empty), _CONFIG, _DATA (from files or samples, or losses that
 * are not finite). */
PLAIT_API int plait_model_train(struct plait_model *m, const char *const *options,
                                const struct plait_training *own);

struct plait_evaluation {
    size_t size;
    double loss;       /* mean over all labels */
    double perplexity; /* NAN where the loss is not that of tokens */
    double accuracy;   /* labels that were the likeliest; NAN: not counted */
    int64_t label_count, sample_count;
};
/* The loss of m, without dropout. Options: those of `plait eval` without those of plait_model_open; samples
 * NULL: validation_file. loss NULL: that of the head. out->size must be set. */
PLAIT_API int plait_model_evaluate(struct plait_model *m, const char *const *options,
                                   const struct plait_samples *samples, const struct plait_loss *loss,
                                   struct plait_evaluation *out);

/* ---- Building a loss. Inside a plait_loss's build only; tensors are the builder's. A call that cannot be
 * gives NULL, and so do all calls after it; the sentence of the first is what the caller of training or
 * forward gets. Floats are float32. Gradients are the library's, on any layout. ---- */

/* (N, D): the final hidden states, a row for each token; with an encoder, for each of the decoder. */
PLAIT_API struct plait_tensor *plait_builder_hidden(struct plait_builder *b);
/* (R) integers: the labels. Of a causal model each belongs to the row before its token. */
PLAIT_API struct plait_tensor *plait_builder_labels(struct plait_builder *b);
/* (R, W): the array "targets", or the numbers that a classification has for labels. */
PLAIT_API struct plait_tensor *plait_builder_targets(struct plait_builder *b);
/* count: a scalar, in place of the number of labels what the sum of losses is divided by, such as the sum of
 * their weights. Its gradient does not count. */
PLAIT_API void plait_builder_divide(struct plait_builder *b, struct plait_tensor *count);

/* Of hidden states x (N, D), by the model's head:
 *     logits          (R, V)  of the rows that have a label
 *     token_losses    (R)     -log of the probability of the label, without holding logits
 *     log_sum_exp     (R)     of the logits: so token_losses is log_sum_exp less the label's logit
 *     head_loss       scalar  the sum of token_losses: the usual loss is that of plait_builder_hidden
 *     label_rows      (R, D)  the rows themselves; no head is needed */
PLAIT_API struct plait_tensor *plait_op_logits(struct plait_builder *b, struct plait_tensor *x);
PLAIT_API struct plait_tensor *plait_op_token_losses(struct plait_builder *b, struct plait_tensor *x);
PLAIT_API struct plait_tensor *plait_op_log_sum_exp(struct plait_builder *b, struct plait_tensor *x);
PLAIT_API struct plait_tensor *plait_op_head_loss(struct plait_builder *b, struct plait_tensor *x);
PLAIT_API struct plait_tensor *plait_op_label_rows(struct plait_builder *b, struct plait_tensor *x);
/* (R): of each label its weight. count: V, as many as there are logits; the weights are copied. */
PLAIT_API struct plait_tensor *plait_op_label_weights(struct plait_builder *b, const float *weights,
                                                      int64_t count);

/* Rows, x (R, W) -> (R) or x (N, D) -> (N): sum of a row, sum of x * y, one entry. */
PLAIT_API struct plait_tensor *plait_op_row_sum(struct plait_builder *b, struct plait_tensor *x);
PLAIT_API struct plait_tensor *plait_op_row_dot(struct plait_builder *b, struct plait_tensor *x,
                                                struct plait_tensor *y);
PLAIT_API struct plait_tensor *plait_op_column(struct plait_builder *b, struct plait_tensor *x,
                                               int64_t column);
/* x (R) -> scalar: the sum of its entries. */
PLAIT_API struct plait_tensor *plait_op_sum(struct plait_builder *b, struct plait_tensor *x);

/* Entry by entry: x + y and x * y of one shape, or x (R, W) * y (R); factor * x; x + term. */
PLAIT_API struct plait_tensor *plait_op_add(struct plait_builder *b, struct plait_tensor *x,
                                            struct plait_tensor *y);
PLAIT_API struct plait_tensor *plait_op_multiply(struct plait_builder *b, struct plait_tensor *x,
                                                 struct plait_tensor *y);
PLAIT_API struct plait_tensor *plait_op_scale(struct plait_builder *b, struct plait_tensor *x, double factor);
PLAIT_API struct plait_tensor *plait_op_shift(struct plait_builder *b, struct plait_tensor *x, double term);
/* f(x) of each entry: "exp", "log", "relu", "tanh", "silu", "gelu", "gelu_new", "quick_gelu". */
PLAIT_API struct plait_tensor *plait_op_function(struct plait_builder *b, struct plait_tensor *x,
                                                 const char *name);
/* x (N, D) -> (N, D): entries dropped with probability p in [0, 1) while training, the rest scaled. */
PLAIT_API struct plait_tensor *plait_op_dropout(struct plait_builder *b, struct plait_tensor *x, double p);

#ifdef __cplusplus
}
#endif

#endif
