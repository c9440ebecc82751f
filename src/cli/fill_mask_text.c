#include "cli/fill_mask_text.h"

#include "cli/cli.h"
#include "gen/top.h"

struct run {
    const struct fill_mask *f;
    int32_t mask;
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
    size_t length;

    if (count_masks(r, p) > 0)
        return OK;
    return fail(ERR_DATA, "generate: No mask_token (%s) found on the input",
                tokenizer_token(r->f->tokenizer, r->mask, &length));
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

/* number: among those that have run together */
static int write_prompt(struct run *r, const struct prompt *p, int64_t number)
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
        found = fill_mask_best(r->f->model, number, i, r->f->top_k, r->best);
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

/* A prompt for each copy of the model. */
static int print_all(struct run *r)
{
    const struct prompts *prompts = r->f->prompts;
    const struct mesh *mesh = &r->f->model->mesh; /* settled by the first run, where sizes are open */
    size_t count;

    for (size_t i = 0; i < prompts->count; i++)
        TRY(check_prompt(r, &prompts->list[i]));
    for (size_t first = 0; first < prompts->count; first += count) {
        size_t copies = (size_t)mesh_size(mesh, AXIS_DP), left = prompts->count - first;
        count = left < copies ? left : copies;
        TRY(fill_mask_run(r->f->model, "generate", &prompts->list[first], (int64_t)count));
        for (size_t i = 0; i < count && world_is_first(r->f->world); i++)
            TRY(write_prompt(r, &prompts->list[first + i], (int64_t)i));
    }
    if (!world_is_first(r->f->world))
        return OK;
    return write_text(r->f->output ? r->f->output : "-", &r->out);
}

int fill_mask_print(const struct fill_mask *f)
{
    struct run r = { .f = f, .mask = tokenizer_special_id(f->tokenizer, TOK_MASK) };
    int status;

    if (r.mask < 0)
        return fail(ERR_CONFIG, "generate: The tokenizer does not define a `mask_token`.");
    str_init(&r.out);
    r.best = mem_alloc_array((size_t)f->top_k, sizeof(r.best[0]));
    status = print_all(&r);
    mem_free(r.best);
    str_release(&r.out);
    return status;
}
