#include "cli/fill_mask.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "comm/world.h"
#include "cpu/machine.h"
#include "gen/top.h"

struct run {
    const struct fill_mask *f;
    int32_t mask;
    struct plan *plan;
    struct top *best; /* [top_k] of one mask */
    struct str out;
};

/* ---- one prompt ---- */

static int64_t count_masks(const struct run *r, const struct prompt *p)
{
    int64_t count = 0;

    for (int64_t i = 0; i < p->length; i++)
        count += p->ids[i] == r->mask;
    return count;
}

static int check_prompt(const struct run *r, const struct prompt *p)
{
    const struct config *c = &r->f->model->config;
    size_t length;

    if (p->length > c->sizes.positions)
        return fail(ERR_DATA,
                    "generate: prompt is longer than the model's positions (found %" PRId64
                    " tokens, expected at most %" PRId64 ")",
                    p->length, c->sizes.positions);
    for (int64_t i = 0; i < p->length; i++)
        if (p->ids[i] < 0 || p->ids[i] >= c->sizes.vocab)
            return fail(ERR_DATA,
                        "generate: token id out of range (found %" PRId32 ", expected 0 to %" PRId64 ")",
                        p->ids[i], c->sizes.vocab - 1);
    if (count_masks(r, p) == 0)
        return fail(ERR_DATA, "generate: No mask_token (%s) found on the input",
                    tokenizer_token(r->f->tokenizer, r->mask, &length));
    return OK;
}

/* The prompt with `id` in the place of row `at`, without padding. */
static int append_sequence(const struct run *r, const struct prompt *p, int64_t at, int32_t id,
                           bool skip_special, struct str *text)
{
    int32_t pad = tokenizer_special_id(r->f->tokenizer, TOK_PAD), *ids;
    size_t count = 0;
    int status;

    ids = mem_alloc_array((size_t)p->length + 1, sizeof(ids[0]));
    for (int64_t i = 0; i < p->length; i++) {
        ids[count] = i == at ? id : p->ids[i];
        count += ids[count] != pad;
    }
    status = tokenizer_decode(r->f->tokenizer, ids, count, skip_special, text);
    mem_free(ids);
    return status;
}

static int write_filling(struct run *r, struct json_writer *w, const struct prompt *p, int64_t at,
                         const struct top *filling, bool only)
{
    struct str token, sequence;
    int status;

    str_init(&token);
    str_init(&sequence);
    status = tokenizer_decode(r->f->tokenizer, &filling->token, 1, false, &token);
    if (status == OK)
        status = append_sequence(r, p, at, filling->token, only, &sequence);
    json_write_object_begin(w);
    json_write_key(w, "score");
    json_write_double(w, filling->score);
    json_write_key(w, "token");
    json_write_int(w, filling->token);
    json_write_key(w, "token_str");
    json_write_bytes(w, token.data, token.length);
    json_write_key(w, "sequence");
    json_write_bytes(w, sequence.data, sequence.length);
    json_write_object_end(w);
    str_release(&token);
    str_release(&sequence);
    return status;
}

/* The best fillings of one row of logits, with their probabilities. */
static int64_t find_best(const struct run *r, const float *logits)
{
    int64_t vocab = r->f->model->config.sizes.vocab;
    struct top_list list = { .items = r->best, .room = r->f->top_k < vocab ? r->f->top_k : vocab };
    double most = -INFINITY, sum = 0;

    for (int64_t v = 0; v < vocab; v++)
        most = logits[v] > most ? logits[v] : most;
    for (int64_t v = 0; v < vocab; v++) {
        sum += exp(logits[v] - most);
        top_add(&list, &(struct top){ .key = logits[v], .token = (int32_t)v });
    }
    top_sort(&list);
    for (int64_t i = 0; i < list.count; i++)
        list.items[i].score = (float)(exp(list.items[i].key - most) / sum);
    return list.count;
}

static int write_prompt(struct run *r, const struct prompt *p, const float *logits)
{
    bool only = count_masks(r, p) == 1;
    struct json_writer w;
    int status = OK;

    json_writer_init(&w, &r->out, 0);
    if (!only)
        json_write_array_begin(&w);
    for (int64_t i = 0; i < p->length && status == OK; i++) {
        int64_t found;
        if (p->ids[i] != r->mask)
            continue;
        found = find_best(r, logits + i * r->f->model->config.sizes.vocab);
        json_write_array_begin(&w);
        for (int64_t k = 0; k < found && status == OK; k++)
            status = write_filling(r, &w, p, i, &r->best[k], only);
        json_write_array_end(&w);
    }
    if (!only)
        json_write_array_end(&w);
    str_append_char(&r->out, '\n');
    return status;
}

/* ---- all of them ---- */

static int run_prompts(struct run *r, struct executor *e, int rank)
{
    const struct prompts *prompts = r->f->prompts;
    int64_t first = r->f->model->config.sizes.first_position, longest = 0;
    struct batch b;
    int status = OK;

    for (size_t i = 0; i < prompts->count; i++)
        longest = prompts->list[i].length > longest ? prompts->list[i].length : longest;
    batch_init(&b, &(struct batch_capacity){ .rows = longest, .sequences = 1 });
    for (size_t i = 0; i < prompts->count && status == OK; i++) {
        const struct prompt *p = &prompts->list[i];
        batch_clear(&b);
        batch_add(&b, p->ids, NULL, p->length, 0, p->length);
        if (first)
            row_block_number(&b.rows, 0, p->length, first);
        executor_set_batch(e, &b);
        status = executor_run(e, PROGRAM_MICROBATCH, &(struct run_options){ .first_microbatch = true });
        if (status == OK && rank == 0)
            status = write_prompt(r, p, executor_view(e, r->plan->logits).data);
    }
    batch_release(&b);
    return status;
}

static int run_rank(void *context, int rank, struct comm *comm)
{
    struct run *r = context;
    struct store *store = store_create();
    struct executor *e = NULL;
    int status = executor_create(r->plan, store, comm, rank, &e);

    if (status == OK)
        status = model_fill_store(r->f->model, store);
    if (status == OK)
        status = run_prompts(r, e, rank);
    executor_free(e);
    store_free(store);
    return status;
}

static int compile(struct run *r)
{
    struct compile_options o = { .task = TASK_FORWARD, .sequences = 1, .mesh = r->f->mesh };
    struct machine machine;

    for (size_t i = 0; i < r->f->prompts->count; i++)
        if (r->f->prompts->list[i].length > o.rows)
            o.rows = o.labels = r->f->prompts->list[i].length;
    TRY(machine_detect(&machine));
    TRY(plan_compile(&r->f->model->config, &o, &machine, &r->plan));
    if ((double)plan_bytes(r->plan) * world_host_ranks(r->f->world, &r->f->mesh) > r->f->memory)
        return fail(ERR_SYSTEM, "generate: not enough memory (found %.0f bytes, expected %.0f)", r->f->memory,
                    (double)plan_bytes(r->plan) * world_host_ranks(r->f->world, &r->f->mesh));
    return OK;
}

int fill_mask_run(const struct fill_mask *f)
{
    struct run r = { .f = f, .mask = tokenizer_special_id(f->tokenizer, TOK_MASK) };
    int status;

    if (r.mask < 0)
        return fail(ERR_CONFIG, "generate: The tokenizer does not define a `mask_token`.");
    for (size_t i = 0; i < f->prompts->count; i++)
        TRY(check_prompt(&r, &f->prompts->list[i]));
    str_init(&r.out);
    r.best = mem_alloc_array((size_t)f->top_k, sizeof(r.best[0]));
    status = compile(&r);
    if (status == OK)
        status = world_run(f->world, &f->mesh, run_rank, &r);
    if (status == OK && world_is_first(f->world))
        status = write_text(f->output ? f->output : "-", &r.out);
    plan_free(r.plan);
    mem_free(r.best);
    str_release(&r.out);
    return status;
}
