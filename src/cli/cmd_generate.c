/* plait generate -- prompts to continuations. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/fill_mask_text.h"
#include "cli/generate_text.h"
#include "train/options.h"
#include "train/stop.h"

struct values {
    struct model_choice model;
    struct compute_options compute;
    struct parallel_options parallel;
    struct generate_values generate;
    struct {
        const char *prompt, *prompt_file, *input_ids, *output, *tokenizer;
    } own;
};

#define OWN(member) offsetof(struct values, own.member) - offsetof(struct values, own)

static const struct option own_options[] = {
    { "prompt", OPTION_STRING, OWN(prompt), NULL, "text to go on from" },
    { "prompt_file", OPTION_STRING, OWN(prompt_file), NULL, "file with a text a line, or -" },
    { "input_ids", OPTION_STRING, OWN(input_ids), NULL, "file with a JSON array of token ids a line, or -" },
    { "output", OPTION_STRING, OWN(output), NULL,
      "file for lines of {\"ids\": [...], \"text\": \"...\"}, or -; without it the texts go to stdout" },
    { "tokenizer_name", OPTION_STRING, OWN(tokenizer), NULL,
      "tokenizer.json, its directory, or a name in the hub's cache; without it the model's" },
    { 0 },
};

static const struct option_part parts[] = {
    { "Prompts and texts", own_options, offsetof(struct values, own) },
    { .parts = generate_parts, .offset = offsetof(struct values, generate) },
    { "Model", model_options_table, offsetof(struct values, model) },
    { "Computing", compute_options, offsetof(struct values, compute) },
    { "Ranks", parallel_options, offsetof(struct values, parallel) },
    { "", hub_notes, 0 },
    { 0 },
};

struct generate {
    struct values *values;
    const struct options *seen;
    struct plait_model *model;
    const struct world *world;
    struct tokenizer *tokenizer; /* NULL: ids in, ids out */
    struct generation_options options;
    struct prompts prompts;
    struct stop *stop;
    struct printer printer;
    struct generation_results results;
};

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

/* Every rank is asked: one that says no ends it. */
static bool proceed(void *context)
{
    struct generate *g = context;

    return g->printer.status == OK && !stop_reason(g->stop);
}

static void tell_speed(const struct generation_results *r)
{
    if (log_enabled(LOG_DEBUG))
        debug("prompts: %" PRId64 " tokens in %.3f s; %" PRId64 " new tokens, %" PRId64 " steps in %.3f s",
              r->prompt_tokens, r->prefill_seconds, r->new_tokens, r->steps, r->decode_seconds);
}

static int print_texts(struct generate *g, struct generation_request *request)
{
    int status, printed;

    g->printer = (struct printer){ .tokenizer = g->tokenizer,
                                   .prompts = &g->prompts,
                                   .returned = g->options.num_return_sequences,
                                   .stream = g->prompts.count == 1 && g->options.num_return_sequences == 1 &&
                                             g->options.num_beams == 1 && isatty(STDOUT_FILENO) };
    request->token = on_token;
    request->done = on_done;
    status = printer_begin(&g->printer);
    if (status == OK)
        status = generate_run(g->model, request, &g->results);
    if (status == OK)
        status = g->printer.status;
    printed = printer_end(&g->printer);
    return status == OK ? printed : status;
}

static int run_prompts(struct generate *g)
{
    const char *output = g->values->own.output;
    struct generation_request request = { .prompts = g->prompts.list,
                                          .count = g->prompts.count,
                                          .options = &g->options,
                                          .tokenizer = g->tokenizer,
                                          .proceed = proceed,
                                          .context = g };
    const char *reason;
    int status;

    TRY(generate_prepare(g->model, &request, g->values->generate.batch_size, g->values->generate.chunk));
    if (output || !world_is_first(g->world))
        status = generate_run(g->model, &request, &g->results);
    else
        status = print_texts(g, &request);
    reason = stop_reason(g->stop);
    if (status == OK && g->results.stopped)
        status = fail(ERR_STOPPED, "generate: ended early (%s)", reason ? reason : "another rank");
    if (status == OK && output && world_is_first(g->world))
        status = generated_write(output, &g->results, g->tokenizer);
    tell_speed(&g->results);
    return status;
}

/* ---- The whole ---- */

static int load_tokenizer(struct generate *g)
{
    const struct values *v = g->values;
    const char *directory = g->model->model.directory ? g->model->model.directory : v->model.name;

    if (v->own.tokenizer)
        return find_tokenizer(v->own.tokenizer, v->model.cache_dir, v->model.revision, &g->tokenizer);
    if (!v->own.input_ids || tokenizer_found(directory))
        return tokenizer_load(directory, &g->tokenizer);
    note("%s: no tokenizer there, so what comes out is ids without text", directory);
    return OK;
}

/* As ids, so what of a tokenizer matters is among it. */
static int agree_on_prompts(const struct generate *g)
{
    struct str ids;
    int status;

    str_init(&ids);
    for (size_t i = 0; i < g->prompts.count; i++) {
        const struct prompt *p = &g->prompts.list[i];
        str_append_bytes(&ids, (const char *)&p->length, sizeof(p->length));
        str_append_bytes(&ids, (const char *)p->ids, (size_t)p->length * sizeof(p->ids[0]));
    }
    status = agree_on_bytes(g->world, "prompts", ids.data, ids.length);
    str_release(&ids);
    return status;
}

static int load_prompts(struct generate *g)
{
    const struct values *v = g->values;

    TRY(load_tokenizer(g));
    TRY(prompts_load(&g->prompts,
                     &(struct prompt_source){ v->own.prompt, v->own.prompt_file, v->own.input_ids },
                     g->tokenizer));
    return agree_on_prompts(g);
}

/* A masked-LM model does not write on: its masks are filled. */
static int fill_masks(struct generate *g)
{
    const struct config *c = &g->model->model.config;
    struct fill_mask f = { .model = g->model, .prompts = &g->prompts, .output = g->values->own.output };

    f.top_k = generate_fillings(&g->values->generate, g->seen);
    f.top_k = f.top_k < c->sizes.vocab ? f.top_k : c->sizes.vocab;
    TRY(load_prompts(g));
    f.tokenizer = g->tokenizer;
    if (!g->tokenizer)
        return fail(ERR_CONFIG, "generate: without a tokenizer it is not known which token is the mask");
    return fill_mask_print(&f);
}

/* There is no backward pass to put in order. */
static void tell_idle(const struct options *o, bool stages, bool copies)
{
    static const char *const names[] = { "num_microbatches", "pipeline_schedule", "pipeline_chunks" };

    option_tell_idle(o, "recompute", true, "nothing is kept for a gradient");
    option_tell_idle(o, "zero_stage", copies, "each copy of the model has all parameters");
    for (int i = 0; i < 3; i++)
        option_tell_idle(o, names[i], stages,
                         "a step's rows go through the stages in as many parts as there are stages");
}

static int generate(struct generate *g)
{
    const struct mesh *mesh = &g->model->mesh;

    tell_idle(g->seen, parallel_has_stages(&g->values->parallel, mesh), mesh_size(mesh, AXIS_DP) > 1);
    TRY(generate_options_take(&g->values->generate, g->seen, &g->model->model, &g->options));
    TRY(agree_on_file(g->world, "generation config", g->options.source));
    TRY(load_prompts(g));
    return run_prompts(g);
}

static int open_and_generate(struct generate *g)
{
    struct values *v = g->values;
    struct model_handle_options o = { .compute = &v->compute, .parallel = &v->parallel, .world = g->world };
    int status;

    model_choice_options(&v->model, &o.names);
    TRY(model_handle_open(&o, &g->model));
    status = g->model->model.config.head == HEAD_MASKED ? fill_masks(g) : generate(g);
    generation_results_release(&g->results);
    prompts_release(&g->prompts);
    tokenizer_free(g->tokenizer);
    generation_options_release(&g->options);
    plait_model_free(g->model);
    return status;
}

static bool is_standard(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

static int run(void *values, struct options *o)
{
    struct values *v = values;
    struct generate g = { .values = v, .seen = o };
    struct world w;
    int status;

    TRY(require_text("model_name_or_path", v->model.name));
    TRY(prompt_source_check(&(struct prompt_source){ v->own.prompt, v->own.prompt_file, v->own.input_ids }));
    TRY(stop_create(&g.stop));
    status = parallel_open(&v->parallel, &w, tell_error);
    g.world = &w;
    if (status == OK) {
        if (is_standard(v->own.prompt_file) || is_standard(v->own.input_ids))
            status = world_share_input(&w);
        status = world_close(&w, status == OK ? open_and_generate(&g) : status);
    }
    stop_free(g.stop);
    return status;
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
