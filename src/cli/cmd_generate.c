/* plait generate -- prompts to continuations. Ranks are threads of this process, each with its share of the
 * layers; the first of them prints. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/hf.h"
#include "cli/cli.h"
#include "cli/fill_mask.h"
#include "cli/generate_text.h"
#include "comm/world.h"
#include "train/stop.h"

struct values {
    struct model_choice model;
    struct compute_options compute;
    struct parallel_options parallel;
    struct generation_options given; /* those on the command line; the rest come from the model's directory */
    struct {
        const char *prompt, *prompt_file, *input_ids, *output, *tokenizer;
        int64_t batch_size, chunk, eos, pad;
        struct option_list stop_strings;
    } own;
};

enum { FILLINGS = 5 }; /* of a mask, without --top_k */

#define OWN(member)   offsetof(struct values, own.member) - offsetof(struct values, own)
#define GIVEN(member) offsetof(struct generation_options, member)

static const char *const early_words[] = { "false", "true", "never", NULL }; /* enum early_stopping */

static const struct option own_options[] = {
    { "prompt", OPTION_STRING, OWN(prompt), NULL, "text to go on from" },
    { "prompt_file", OPTION_STRING, OWN(prompt_file), NULL, "file with a text a line, or -" },
    { "input_ids", OPTION_STRING, OWN(input_ids), NULL, "file with a JSON array of token ids a line, or -" },
    { "output", OPTION_STRING, OWN(output), NULL,
      "file for lines of {\"ids\": [...], \"text\": \"...\"}, or -; without it the texts go to stdout" },
    { "tokenizer_name", OPTION_STRING, OWN(tokenizer), NULL,
      "tokenizer.json, its directory, or a name in the hub's cache; without it the model's" },
    { "batch_size", OPTION_INT, OWN(batch_size), "8", "prompts at the same time; changes no result", .min = 1,
      .max = 1 << 16 },
    { "prefill_chunk_size", OPTION_INT, OWN(chunk), NULL, "tokens of prompts in one step; changes no result",
      .min = 1, .max = 1 << 20 },
    { "stop_strings", OPTION_LIST, OWN(stop_strings), NULL,
      "texts that end a sequence once they appear in it" },
    { "eos_token_id", OPTION_INT, OWN(eos), NULL, "token that ends a sequence", .min = 0, .max = INT32_MAX },
    { "pad_token_id", OPTION_INT, OWN(pad), NULL, "token put after the end of shorter sequences of a prompt",
      .min = 0, .max = INT32_MAX },
    { 0 },
};

/* Without values of their own: what is not given comes from generation_config.json. Ranges are checked
 * together. */
static const struct option given_options[] = {
    { "max_new_tokens", OPTION_INT, GIVEN(max_new_tokens), NULL,
      "tokens to generate; 20 without max_length" },
    { "max_length", OPTION_INT, GIVEN(max_length), NULL, "tokens of prompt and continuation together" },
    { "min_new_tokens", OPTION_INT, GIVEN(min_new_tokens), NULL, "no end before so many new tokens" },
    { "min_length", OPTION_INT, GIVEN(min_length), NULL,
      "no end before so many tokens, the prompt's included" },
    { "do_sample", OPTION_BOOL, GIVEN(do_sample), NULL, "draw tokens instead of taking the most probable" },
    { "temperature", OPTION_DOUBLE, GIVEN(temperature), NULL, "logits are divided by it (1.0)" },
    { "top_k", OPTION_INT, GIVEN(top_k), NULL,
      "draw among the k most probable tokens (50; 0: all); of a masked-LM model: fillings of a mask (5)" },
    { "top_p", OPTION_DOUBLE, GIVEN(top_p), NULL,
      "draw among the most probable tokens that together reach this probability (1.0)" },
    { "seed", OPTION_INT, GIVEN(seed), NULL,
      "draws are a function of it, of the prompt's number and the token's (42)", .min = 0, .max = INT32_MAX },
    { "num_beams", OPTION_INT, GIVEN(num_beams), NULL, "beams of beam search (1: none)" },
    { "length_penalty", OPTION_DOUBLE, GIVEN(length_penalty), NULL,
      "beam scores are divided by the new tokens to this power (1.0)" },
    { "early_stopping", OPTION_CHOICE, GIVEN(early_stopping), NULL,
      "when beam search is over: true, as soon as num_beams sequences have ended; false, when better ones "
      "are unlikely; never, when there can be none",
      .choices = early_words },
    { "num_return_sequences", OPTION_INT, GIVEN(num_return_sequences), NULL,
      "continuations of each prompt (1)" },
    { "repetition_penalty", OPTION_DOUBLE, GIVEN(repetition_penalty), NULL,
      "makes tokens that occurred before less probable (1.0: not)" },
    { "no_repeat_ngram_size", OPTION_INT, GIVEN(no_repeat_ngram_size), NULL,
      "no so many tokens in a row twice (0: any)" },
    { 0 },
};

#define REFUSED(name, why)               \
    {                                    \
        name, OPTION_REFUSE, .help = why \
    }
#define ONLY(name, neutral, why)                                           \
    {                                                                      \
        name, OPTION_REFUSE, .help = why, .choices = (const char *const[]) \
        {                                                                  \
            neutral, NULL                                                  \
        }                                                                  \
    }
#define NO_FILTER    "plait filters by temperature, top_k and top_p only"
#define NO_MODE      "plait has greedy search, sampling and beam search only"
#define NO_PROCESSOR "plait has no such change of the scores"

static const struct option other_options[] = {
    REFUSED("min_p", NO_FILTER),
    REFUSED("top_h", NO_FILTER),
    ONLY("typical_p", "1.0", NO_FILTER),
    ONLY("epsilon_cutoff", "0.0", NO_FILTER),
    ONLY("eta_cutoff", "0.0", NO_FILTER),
    REFUSED("penalty_alpha", NO_MODE),
    REFUSED("assistant_model", NO_MODE),
    REFUSED("prompt_lookup_num_tokens", NO_MODE),
    REFUSED("dola_layers", NO_MODE),
    ONLY("num_beam_groups", "1", NO_MODE),
    ONLY("diversity_penalty", "0.0", NO_MODE),
    REFUSED("constraints", NO_MODE),
    REFUSED("force_words_ids", NO_MODE),
    REFUSED("bad_words_ids", NO_PROCESSOR),
    REFUSED("sequence_bias", NO_PROCESSOR),
    REFUSED("suppress_tokens", NO_PROCESSOR),
    REFUSED("begin_suppress_tokens", NO_PROCESSOR),
    REFUSED("forced_bos_token_id", NO_PROCESSOR),
    REFUSED("forced_eos_token_id", NO_PROCESSOR),
    REFUSED("exponential_decay_length_penalty", NO_PROCESSOR),
    ONLY("guidance_scale", "1.0", NO_PROCESSOR),
    ONLY("encoder_repetition_penalty", "1.0", NO_PROCESSOR),
    ONLY("encoder_no_repeat_ngram_size", "0", NO_PROCESSOR),
    ONLY("renormalize_logits", "false", NO_PROCESSOR),
    REFUSED("max_time", "what comes out would depend on the machine"),
    { "use_cache", OPTION_NOTE, .help = "keys and values are always kept; the results are the same",
      .bare = true },
    { 0 },
};

static const struct option_part parts[] = {
    { "Prompts and texts", own_options, offsetof(struct values, own) },
    { "Generation", given_options, offsetof(struct values, given) },
    { "Model", model_options_table, offsetof(struct values, model) },
    { "Computing", compute_options, offsetof(struct values, compute) },
    { "Ranks", parallel_options, offsetof(struct values, parallel) },
    { "", hub_notes, 0 },
    { "", other_options, 0 },
    { 0 },
};

struct generate {
    struct values *values;
    const struct options *seen;
    struct model model;
    struct tokenizer *tokenizer; /* NULL: ids in, ids out */
    struct generation_options options;
    struct prompts prompts;
    struct generator_capacity capacity;
    const struct world *world;
    struct mesh mesh;
    struct stop *stop;
    struct printer printer;
    struct generation_results results;
};

/* ---- Options ---- */

static void take_given(struct generate *g)
{
    static const size_t bytes[] = { [OPTION_BOOL] = sizeof(bool),
                                    [OPTION_INT] = sizeof(int64_t),
                                    [OPTION_DOUBLE] = sizeof(double),
                                    [OPTION_CHOICE] = sizeof(int) };

    for (const struct option *x = given_options; x->name; x++)
        if (options_given(g->seen, x->name))
            memcpy((char *)&g->options + x->offset, (const char *)&g->values->given + x->offset,
                   bytes[x->type]);
    if (options_given(g->seen, "eos_token_id")) {
        g->options.eos[0] = g->values->own.eos;
        g->options.eos_count = 1;
    }
    if (options_given(g->seen, "pad_token_id"))
        g->options.pad = g->values->own.pad;
    if (g->values->own.stop_strings.count == 0)
        return;
    generation_options_release(&g->options);
    for (size_t i = 0; i < g->values->own.stop_strings.count; i++)
        generation_options_add_stop(&g->options, g->values->own.stop_strings.items[i],
                                    strlen(g->values->own.stop_strings.items[i]));
}

_Static_assert(sizeof(enum early_stopping) == sizeof(int), "a choice is stored as an int");

static void note_unused(const struct generate *g)
{
    static const char *const sampling[] = { "temperature", "top_k", "top_p", "seed" };
    static const char *const searching[] = { "length_penalty", "early_stopping" };
    const struct generation_options *o = &g->options;

    for (int i = 0; i < 4 && !o->do_sample; i++)
        if (options_given(g->seen, sampling[i]))
            note("--%s: acts only with --do_sample", sampling[i]);
    for (int i = 0; i < 2 && o->num_beams == 1; i++)
        if (options_given(g->seen, searching[i]))
            note("--%s: acts only with --num_beams of 2 or more", searching[i]);
    if (o->max_new_tokens != INT_NONE && o->max_length != INT_NONE)
        warn("Both `max_new_tokens` (=%" PRId64 ") and `max_length`(=%" PRId64
             ") seem to have been set. `max_new_tokens` will take precedence",
             o->max_new_tokens, o->max_length);
}

static int check_options(struct generate *g)
{
    int status = generation_options_check(&g->options);

    for (const struct option *x = given_options; x->name && status == ERR_CONFIG; x++)
        if (options_given(g->seen, x->name))
            return ERR_USAGE;
    return status;
}

static void warn_of_positions(const struct generate *g, const struct generation_options *o)
{
    int64_t most = 0, positions = model_position_limit(&g->model.config.sizes);

    for (size_t i = 0; i < g->prompts.count; i++)
        most = g->prompts.list[i].length > most ? g->prompts.list[i].length : most;
    most = o->max_new_tokens != INT_NONE ? most + o->max_new_tokens : o->max_length;
    if (most > positions + 1)
        warn("generation ends at %" PRId64 " tokens, where the model's positions end (found %" PRId64 ")",
             positions + 1, most);
}

/* ---- Running ---- */

static void on_token(void *context, size_t prompt, int64_t sequence, int32_t id)
{
    (void)prompt;
    (void)sequence;
    printer_token(&((struct generate *)context)->printer, id);
}

static void on_done(void *context, size_t prompt, const struct generated *results)
{
    printer_done(&((struct generate *)context)->printer, prompt, results);
}

static bool proceed(void *context)
{
    struct generate *g = context;

    return g->printer.status == OK && !stop_reason(g->stop);
}

/* Of the other ranks. */
static bool proceed_silently(void *context)
{
    return !stop_reason(((struct generate *)context)->stop);
}

static int run_prompts(struct generate *g, struct generator *generator, int rank)
{
    struct generation_request request = { .prompts = g->prompts.list,
                                          .count = g->prompts.count,
                                          .options = &g->options,
                                          .tokenizer = g->tokenizer,
                                          .context = g,
                                          .proceed = proceed_silently };
    struct generation_results results;

    if (rank == 0) {
        request.proceed = proceed;
        if (!g->values->own.output) {
            request.token = on_token;
            request.done = on_done;
        }
    }
    TRY(generator_run(generator, &request, &results));
    if (rank == 0)
        g->results = results;
    else
        generation_results_release(&results);
    return OK;
}

static int run_rank(void *context, int rank, struct comm *comm)
{
    struct generate *g = context;
    struct store *store = store_create();
    struct generator *generator = NULL;
    int status = generator_create(&g->model.config, store, &g->capacity,
                                  mesh_ranks(&g->mesh) > 1 ? comm : NULL, &generator);

    if (status == OK)
        status = model_fill_store(&g->model, store);
    if (status == OK && rank == 0 && !g->values->own.output)
        status = printer_begin(&g->printer);
    if (status == OK)
        status = run_prompts(g, generator, rank);
    if (status == OK && rank == 0)
        status = g->printer.status;
    generator_free(generator);
    store_free(store);
    return status;
}

static void tell_speed(const struct generation_results *r)
{
    if (log_enabled(LOG_DEBUG))
        debug("prompts: %" PRId64 " tokens in %.3f s; %" PRId64 " new tokens, %" PRId64 " steps in %.3f s",
              r->prompt_tokens, r->prefill_seconds, r->new_tokens, r->steps, r->decode_seconds);
}

static int take_results(struct generate *g, int status)
{
    int printed = printer_end(&g->printer);
    const char *reason = stop_reason(g->stop);

    status = status == OK ? printed : status;
    if (status == OK && g->results.stopped)
        status = fail(ERR_STOPPED, "generate: ended early (%s)", reason ? reason : "another rank");
    if (status == OK && g->values->own.output)
        status = generated_write(g->values->own.output, &g->results, g->tokenizer);
    tell_speed(&g->results);
    return status;
}

static int run_ranks(struct generate *g)
{
    int status;

    g->printer = (struct printer){ .tokenizer = g->tokenizer,
                                   .prompts = &g->prompts,
                                   .returned = g->options.num_return_sequences,
                                   .stream = g->prompts.count == 1 && g->options.num_return_sequences == 1 &&
                                             g->options.num_beams == 1 && isatty(STDOUT_FILENO) };
    status = world_run(g->world, &g->mesh, run_rank, g);
    return world_is_first(g->world) ? take_results(g, status) : status;
}

/* ---- The whole ---- */

static int load_tokenizer(struct generate *g)
{
    const struct values *v = g->values;
    const char *directory = g->model.directory ? g->model.directory : v->model.name;

    if (v->own.tokenizer)
        return find_tokenizer(v->own.tokenizer, v->model.cache_dir, v->model.revision, &g->tokenizer);
    if (!v->own.input_ids || tokenizer_found(directory))
        return tokenizer_load(directory, &g->tokenizer);
    note("%s: no tokenizer there, so what comes out is ids without text", directory);
    return OK;
}

static int make_mesh(struct generate *g)
{
    struct parallel_options *p = &g->values->parallel;

    if (p->data <= 0 && p->tensor <= 0 && p->world > 0)
        p->tensor = p->world; /* layers are what ranks share */
    TRY(parallel_mesh(p, g->world, &g->mesh));
    if (g->mesh.size[AXIS_DP] > 1)
        return fail(ERR_CONFIG,
                    "--data_parallel_size: generation has one copy of the model (found %d, expected 1)",
                    g->mesh.size[AXIS_DP]);
    return OK;
}

/* A masked-LM model does not write on: its masks are filled. */
static int fill_masks(struct generate *g, double memory)
{
    const struct values *v = g->values;
    const struct prompt_source source = { v->own.prompt, v->own.prompt_file, v->own.input_ids };
    struct fill_mask f = {
        .model = &g->model, .prompts = &g->prompts, .memory = memory, .output = v->own.output
    };

    f.top_k = options_given(g->seen, "top_k") && v->given.top_k > 0 ? v->given.top_k : FILLINGS;
    if (f.top_k > g->model.config.sizes.vocab)
        f.top_k = g->model.config.sizes.vocab;
    for (const struct option *x = given_options; x->name; x++)
        if (strcmp(x->name, "top_k") != 0 && options_given(g->seen, x->name))
            note("--%s: changes nothing where masks are filled", x->name);
    TRY(make_mesh(g));
    TRY(model_check_memory(&g->model.config, 1, memory));
    TRY(load_tokenizer(g));
    if (!g->tokenizer)
        return fail(ERR_CONFIG, "generate: without a tokenizer it is not known which token is the mask");
    TRY(prompts_load(&g->prompts, &source, g->tokenizer));
    f.tokenizer = g->tokenizer;
    f.world = g->world;
    f.mesh = g->mesh;
    return fill_mask_run(&f);
}

static int generate(struct generate *g, double memory)
{
    const struct values *v = g->values;
    const struct prompt_source source = { v->own.prompt, v->own.prompt_file, v->own.input_ids };
    struct generation_request request;

    TRY(generation_options_load(&g->options, g->model.directory, &g->model.config));
    take_given(g);
    TRY(check_options(g));
    TRY(make_mesh(g));
    TRY(model_check_memory(&g->model.config, 1, memory));
    TRY(load_tokenizer(g));
    TRY(prompts_load(&g->prompts, &source, g->tokenizer));
    note_unused(g);
    warn_of_positions(g, &g->options);
    request = (struct generation_request){ .prompts = g->prompts.list,
                                           .count = g->prompts.count,
                                           .options = &g->options };
    g->capacity = (struct generator_capacity){ .prompts = v->own.batch_size,
                                               .width = generation_width(&g->options),
                                               .chunk = v->own.chunk,
                                               .memory = memory / world_host_ranks(g->world, &g->mesh),
                                               .dtype = compute_dtype(&v->compute) };
    if (g->capacity.prompts > (int64_t)g->prompts.count)
        g->capacity.prompts = (int64_t)g->prompts.count;
    TRY(generation_room(&request, &g->model.config, &g->capacity));
    return run_ranks(g);
}

static int open_and_generate(struct generate *g)
{
    const struct values *v = g->values;
    struct model_options options;
    double memory;
    int status;

    TRY(compute_check(&v->compute, &memory));
    model_choice_options(&v->model, &options);
    TRY(model_open(&g->model, &options));
    status = g->model.config.head == HEAD_MASKED ? fill_masks(g, memory) : generate(g, memory);
    generation_results_release(&g->results);
    prompts_release(&g->prompts);
    tokenizer_free(g->tokenizer);
    generation_options_release(&g->options);
    model_close(&g->model);
    return status;
}

static int run_in(struct values *v, struct options *o, const struct world *w)
{
    struct generate g = { .values = v, .seen = o, .world = w };
    int status;

    TRY(stop_create(&g.stop));
    status = open_and_generate(&g);
    stop_free(g.stop);
    return status;
}

static int run(void *values, struct options *o)
{
    struct values *v = values;
    struct world w;

    TRY(require_text("model_name_or_path", v->model.name));
    TRY(prompt_source_check(&(struct prompt_source){ v->own.prompt, v->own.prompt_file, v->own.input_ids }));
    TRY(parallel_open(&v->parallel, &w, tell_error));
    return world_close(&w, run_in(v, o, &w));
}

const struct command command_generate = {
    .name = "generate",
    .summary = "let a model write on from prompts",
    .example =
        "plait generate --model_name_or_path run --prompt \"Once\" --num_beams 3\n"
        "plait generate --model_name_or_path run --prompt_file prompts.txt --do_sample --top_p 0.9 --output "
        "texts.jsonl",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
