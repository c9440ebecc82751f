/* What a masked-LM model puts in the place of mask tokens: the entries of the vocabulary with the highest
 * probability at each of them, as transformers' fill-mask pipeline has it. */
#include <inttypes.h>
#include <math.h>

#include "api/api.h"
#include "gen/top.h"

/* The best fillings of one row of logits, with their probabilities. */
static void find_best(const float *logits, int64_t vocab, struct top_list *best)
{
    double most = -INFINITY, sum = 0;

    for (int64_t v = 0; v < vocab; v++)
        most = logits[v] > most ? logits[v] : most;
    for (int64_t v = 0; v < vocab; v++) {
        sum += exp(logits[v] - most);
        top_add(best, &(struct top){ .key = logits[v], .token = (int32_t)v });
    }
    top_sort(best);
    for (int64_t i = 0; i < best->count; i++)
        best->items[i].score = (float)(exp(best->items[i].key - most) / sum);
}

static int read_ids(const void *context, const struct named_tensor *t, int64_t *ints, float *floats)
{
    const int32_t *ids = t->from;

    (void)context;
    (void)floats;
    for (int64_t i = 0; i < t->count; i++)
        ints[i] = ids[i];
    return OK;
}

static int check(const struct plait_model *m, const char *where, const struct prompt *p)
{
    const struct config *c = &m->model.config;

    if (p->length > model_position_limit(&c->sizes))
        return fail(ERR_DATA,
                    "%s: prompt is longer than the model's positions (found %" PRId64
                    " tokens, expected at most %" PRId64 ")",
                    where, p->length, model_position_limit(&c->sizes));
    return OK;
}

static struct named_tensor named(const char *name, const int32_t *from, const int64_t shape[2])
{
    return (struct named_tensor){ .name = name,
                                  .type = "int32",
                                  .kind = NAMED_INT,
                                  .ndim = 2,
                                  .shape = shape,
                                  .count = shape[0] * shape[1],
                                  .from = from };
}

/* Shorter prompts are padded with what nobody attends to. */
static void lay_out(const struct config *c, const struct prompt *prompts, const int64_t shape[2],
                    int32_t *ids, int32_t *mask)
{
    int32_t pad = c->pad != INT_NONE && c->pad < c->sizes.vocab ? (int32_t)c->pad : 0;

    for (int64_t i = 0; i < shape[0]; i++)
        for (int64_t t = 0; t < shape[1]; t++) {
            mask[i * shape[1] + t] = t < prompts[i].length;
            ids[i * shape[1] + t] = t < prompts[i].length ? prompts[i].ids[t] : pad;
        }
}

int fill_mask_run(struct plait_model *m, const char *where, const struct prompt *prompts, int64_t count)
{
    const struct config *c = &m->model.config;
    int64_t shape[] = { count, 0 };
    struct named_tensor list[2];
    int32_t *ids, *mask;
    int status;

    if (c->head != HEAD_MASKED)
        return fail(ERR_CONFIG, "%s: %s fills no masks (found %s)", where, c->name, c->architecture);
    for (int64_t i = 0; i < count; i++) {
        TRY(check(m, where, &prompts[i]));
        shape[1] = prompts[i].length > shape[1] ? prompts[i].length : shape[1];
    }
    ids = mem_alloc_array((size_t)(count * shape[1]) + 1, sizeof(ids[0]));
    mask = mem_alloc_array((size_t)(count * shape[1]) + 1, sizeof(mask[0]));
    lay_out(c, prompts, shape, ids, mask);
    list[0] = named("input_ids", ids, shape);
    list[1] = named("attention_mask", mask, shape);
    status =
        forward_run(m, &(struct named_tensors){ .path = where, .list = list, .count = 2, .read = read_ids },
                    PLAIT_LOGITS, NULL);
    mem_free(ids);
    mem_free(mask);
    return status;
}

int64_t fill_mask_best(const struct plait_model *m, int64_t prompt, int64_t token, int64_t top_k,
                       struct top *out)
{
    const struct forward_result *logits = &m->forward->results[0];
    int64_t row = prompt * logits->dims[1] + token;
    int64_t vocab = logits->dims[2];
    struct top_list best = { .items = out, .room = top_k < vocab ? top_k : vocab };

    find_best(logits->data + row * vocab, vocab, &best);
    return best.count;
}

int64_t plait_model_fill_mask(struct plait_model *m, const int32_t *ids, int64_t length, int32_t mask,
                              struct plait_filling *out, int64_t capacity)
{
    int64_t masks = 0, count = 0;
    struct top *best;

    TRY(api_begin("plait_model_fill_mask", m, "m"));
    TRY(api_require("plait_model_fill_mask", ids, "ids"));
    TRY(api_require("plait_model_fill_mask", out, "out"));
    for (int64_t i = 0; i < length; i++)
        masks += ids[i] == mask;
    if (masks == 0)
        return fail(ERR_DATA, "plait_model_fill_mask: no mask among the tokens (expected id %" PRId32 ")",
                    mask);
    if (capacity < masks)
        return fail(ERR_USAGE,
                    "plait_model_fill_mask: no room (found %" PRId64 " fillings, expected a multiple of the "
                    "%" PRId64 " masks)",
                    capacity, masks);
    TRY(fill_mask_run(m, "plait_model_fill_mask", &(struct prompt){ ids, length }, 1));
    best = mem_alloc_array((size_t)(capacity / masks), sizeof(best[0]));
    for (int64_t i = 0; i < length; i++) {
        int64_t found = ids[i] == mask ? fill_mask_best(m, 0, i, capacity / masks, best) : 0;
        for (int64_t k = 0; k < found; k++)
            out[count++] = (struct plait_filling){ i, best[k].token, (double)best[k].score };
    }
    mem_free(best);
    return count;
}
