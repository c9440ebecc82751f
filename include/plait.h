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
 *   Structs     A struct begins with `size`, its size as the caller was compiled; later versions add members
 *               at the end only, and one that is absent has its default. Options are set up by their _init
 *               function. Members that say yes or no are int, 0 or 1.
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

/* ---- Models ---- */

struct plait_model;

/* Opens a model directory as transformers writes it (config.json and its weights), or a name in the hub's
 * cache on this machine; a checkpoint is such a directory. Weights are checked now and read when first
 * wanted, so the files must stay as they are while the model is open. Options: those of `plait forward` under
 * Model, Computing and Ranks, such as cache_dir, config_overrides, dtype and tensor_parallel_size: what is
 * done with the model later is done so. PLAIT_ERROR_OPEN naming the places looked in, _DATA, _CONFIG. */
PLAIT_API int plait_model_open(const char *name, const char *const *options, struct plait_model **out);
/* A new model with random weights, functions of the option seed. config: a directory, a config.json, or the
 * name of a config that the library knows ("gpt2", "google-t5/t5-small"). Options and errors as above. */
PLAIT_API int plait_model_create(const char *config, const char *const *options, struct plait_model **out);
PLAIT_API void plait_model_free(struct plait_model *m);

/* Writes a model directory that transformers' from_pretrained opens: all files appear, config.json last, or
 * none. Options: those of `plait init` under What to change and Files: vocab_size, new_rows, tokenizer_name,
 * save_dtype, max_shard_size. */
PLAIT_API int plait_model_save(struct plait_model *m, const char *directory, const char *const *options);

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
 * wanted: PLAIT_LOGITS (of a model without a head its hidden states), PLAIT_GRADIENTS of the mean loss, both,
 * or 0: the loss alone, which is faster. What comes out is kept until the next forward of m. The first call,
 * and one with more tokens or that wants something else, takes time to plan. PLAIT_ERROR_DATA naming the
 * array that is wrong. */
PLAIT_API int plait_model_forward(struct plait_model *m, const struct plait_array *inputs, int64_t count,
                                  int wanted);
/* Sets *out to what the last forward gave, float32 unless said; its data is valid until the next forward, or
 * until m is trained.
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

struct plait_tokenizer_options {
    size_t size;
    int64_t vocab_size;          /* special tokens and alphabet included; 30000 */
    int64_t min_frequency;       /* of a pair that is merged; 2 */
    const char *const *specials; /* special tokens, first in the vocabulary; NULL: none */
    int64_t special_count;
    int add_prefix_space;
};
PLAIT_API int plait_tokenizer_options_init(struct plait_tokenizer_options *o, size_t size);
/* Byte-level BPE learnt from text files, line by line. PLAIT_ERROR_OPEN, _DATA (not UTF-8), _CONFIG. */
PLAIT_API int plait_tokenizer_train(const char *const *files, int64_t file_count,
                                    const struct plait_tokenizer_options *options,
                                    struct plait_tokenizer **out);

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
PLAIT_API int plait_generate_request_init(struct plait_generate_request *r, size_t size);

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

/* ---- Training ---- */

/* A sample: tokens, and for each the label that is predicted from the token before it. */
struct plait_sample {
    size_t size;        /* set by the library */
    int64_t max_length; /* room in ids and labels */
    int32_t *ids;       /* to be filled in */
    int32_t *labels;    /* to be filled in where labelled is set: -100 no loss */
    int64_t length;     /* to be set: 1 .. max_length */
    int labelled;       /* 0 at first: the ids are the labels */
};

/* Where samples come from: a function of their number. */
struct plait_samples {
    size_t size;
    int64_t count;      /* samples of an epoch, at least 1 */
    int64_t max_length; /* T: tokens of a sample, at most */
    /* Fills in sample `index`, 0 .. count-1: the same one whenever and on whichever thread it is asked for
     * (ranks ask at the same time). Each epoch asks for all in an order of its own, or with no_shuffle from 0
     * on: then, with a count that no run comes to the end of, index is the number of the sample in the whole
     * run. Not 0 ends the run with PLAIT_ERROR_DATA. */
    int (*read)(void *context, int64_t index, struct plait_sample *sample);
    void *context;
    const char
        *identity; /* names the data in checkpoints: a run goes on with the same alone; NULL: not named */
};
PLAIT_API int plait_samples_init(struct plait_samples *s, size_t size);

/* Files as samples, as `plait train` makes them: text (.txt) joined and cut into blocks, or rows of input_ids
 * (.jsonl). Tokenized once, into a cache that later runs find again. */
struct plait_dataset;
struct plait_dataset_options {
    size_t size;
    const char *const *train_files, *const *eval_files; /* paths or globs */
    int64_t train_file_count, eval_file_count;
    int hold_out;       /* without eval_files: the first documents of train_files are the part to evaluate */
    int64_t block_size; /* T; 0: what model and tokenizer take */
    const char *tokenizer; /* its directory; NULL: it lies beside the model */
    const char *cache_dir; /* where caches lie when they cannot lie beside the files; NULL: nowhere */
    const char *
        more; /* JSON object of options of `plait train` for data, such as {"append_eos": true}; NULL: none */
};
PLAIT_API int plait_dataset_options_init(struct plait_dataset_options *o, size_t size);
/* m: for its positions, its vocabulary and its tokenizer; it may be freed before the data set.
 * PLAIT_ERROR_OPEN, _DATA. */
PLAIT_API int plait_dataset_open(const struct plait_model *m, const struct plait_dataset_options *options,
                                 struct plait_dataset **out);
PLAIT_API void plait_dataset_free(struct plait_dataset *d);
enum { PLAIT_DATASET_TRAIN, PLAIT_DATASET_EVAL };
/* Sets *out, which plait_samples_init has set up; its samples may be used as long as d.
 * PLAIT_ERROR_USAGE: d has no such part. */
PLAIT_API int plait_dataset_samples(struct plait_dataset *d, int which, struct plait_samples *out);

struct plait_train_progress {
    size_t size;
    int64_t step, total_steps; /* done, of */
    double epoch;
    double loss; /* mean over the labels since the last log line, in nats; NAN when there were none */
    double learning_rate, grad_norm;        /* of this step; the norm before clipping */
    double tokens_per_second, seconds_left; /* below 0: not known yet */
};

struct plait_builder;
struct plait_tensor;
/* A loss of the caller's own: builds, from the ops below, the sum of the losses of a microbatch's labels, a
 * scalar. Called when a run is planned, never in a step; the rest (gradient, ranks, memory) is the library's.
 * NULL: failed, and the first op that could not be is told. */
typedef struct plait_tensor *plait_loss_fn(void *context, struct plait_builder *b);

struct plait_train_options {
    size_t size;
    const char *output_dir; /* must be given: the model, checkpoints and logs */
    int overwrite_output_dir;
    const char *resume; /* a checkpoint; "auto": the newest in output_dir, if any; NULL: start anew */
    const struct plait_samples *train; /* must be given */
    const struct plait_samples *eval;  /* NULL: none */
    int64_t batch_size;                /* samples that a data-parallel rank computes at once; 8 */
    int64_t accumulation_steps;        /* such batches of a step; 1 */
    int64_t eval_batch_size;           /* 8 */
    double epochs;                     /* 3 */
    int64_t max_steps;                 /* above 0: instead of epochs; -1 */
    int no_shuffle;
    int64_t seed;                  /* of dropout and order, at least 0; -1: the model's, or 42 */
    double learning_rate;          /* 5e-5 */
    const char *lr_scheduler_type; /* transformers' names; "linear" */
    double warmup_steps;           /* below 1 a part of all steps; 0 */
    double weight_decay, adam_beta1, adam_beta2, adam_epsilon; /* 0, 0.9, 0.999, 1e-8 */
    double max_grad_norm;                                      /* 0: no clipping; 1 */
    double logging_steps, save_steps; /* 500 each; below 1 a part of all steps; 0: never, the end excepted */
    double eval_steps;                /* 0: at the end only */
    int64_t save_total_limit;         /* 0: all checkpoints stay */
    int64_t data_parallel_size, tensor_parallel_size; /* ranks in this process; 1, 1 */
    const char *tokenizer;  /* directory of a tokenizer that goes with the model; NULL: as plait_model_save */
    const char *save_dtype; /* as plait_model_save's */
    const char *more;    /* JSON object of options of `plait train`, such as {"freeze": "wte"}; NULL: none */
    plait_loss_fn *loss; /* NULL: cross-entropy of the head */
    void *loss_context;
    /* After each step, on a thread of the run's; not 0 stops with a checkpoint. May be NULL. */
    int (*progress)(void *context, const struct plait_train_progress *p);
    void *progress_context;
};
PLAIT_API int plait_train_options_init(struct plait_train_options *o, size_t size);

/* Trains m with AdamW. At the end output_dir is a model directory, and m holds its weights and is as opened
 * from there. On failure m is as before; PLAIT_ERROR_STOPPED: progress stopped the run, output_dir has a
 * checkpoint, and the same options with resume "auto" go on from it, to the same bits. A created model that
 * has never been saved needs its own seed. PLAIT_ERROR_USAGE, _CREATE (output_dir is not empty), _CONFIG,
 * _DATA (from samples, or losses that are not finite). */
PLAIT_API int plait_model_train(struct plait_model *m, const struct plait_train_options *options);

/* *loss: mean over all labels of the samples, in nats; *labels (may be NULL): how many. loss_fn NULL:
 * cross-entropy. */
PLAIT_API int plait_model_evaluate(struct plait_model *m, const struct plait_samples *samples,
                                   int64_t batch_size, double *loss, int64_t *labels);

/* ---- Building a loss. Inside a plait_loss_fn only; tensors are the builder's. A call that cannot be gives
 * NULL, and so do all calls after it; the sentence of the first is what training fails with. ---- */

PLAIT_API struct plait_tensor *plait_builder_hidden(
    struct plait_builder *b); /* (N, D) the final hidden states */
PLAIT_API struct plait_tensor *plait_builder_ids(struct plait_builder *b); /* (N) int32 token ids */
PLAIT_API struct plait_tensor *plait_builder_label_rows(
    struct plait_builder *b); /* (R) int32 rows with a label */
PLAIT_API struct plait_tensor *plait_builder_labels(struct plait_builder *b); /* (R) int32 their labels */

/* x (N, D) float -> (R) float: -log of the probability that the model's head gives each label. */
PLAIT_API struct plait_tensor *plait_op_token_losses(struct plait_builder *b, struct plait_tensor *x);
/* Their sum, a scalar, without holding them: the usual loss is plait_op_head_loss(b,
 * plait_builder_hidden(b)). */
PLAIT_API struct plait_tensor *plait_op_head_loss(struct plait_builder *b, struct plait_tensor *x);
/* x (R) float -> scalar: the sum of its entries. */
PLAIT_API struct plait_tensor *plait_op_sum(struct plait_builder *b, struct plait_tensor *x);
/* x + y, of one shape and type. */
PLAIT_API struct plait_tensor *plait_op_add(struct plait_builder *b, struct plait_tensor *x,
                                            struct plait_tensor *y);
/* factor * x; factor is finite. */
PLAIT_API struct plait_tensor *plait_op_scale(struct plait_builder *b, struct plait_tensor *x, double factor);
/* f(x) of each entry: "relu", "tanh", "silu", "gelu", "gelu_new", "quick_gelu". */
PLAIT_API struct plait_tensor *plait_op_activation(struct plait_builder *b, struct plait_tensor *x,
                                                   const char *name);
/* x (N, D) -> (N, D): entries dropped with probability p in [0, 1) while training, the rest scaled. */
PLAIT_API struct plait_tensor *plait_op_dropout(struct plait_builder *b, struct plait_tensor *x, double p);

#ifdef __cplusplus
}
#endif

#endif
