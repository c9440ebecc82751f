#include "data/objective.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"

enum { NO_LABEL = -100, ROWS_MULTIPLE = 8 };

const char *const objective_names[OBJECTIVE_COUNT + 1] = {
    "clm", "mlm", "span_corruption", "seq2seq", "classification", NULL
};

bool objective_has_hits(const struct objective *o)
{
    return o->kind != OBJECTIVE_CLM && (o->kind != OBJECTIVE_CLASSIFICATION || o->classes > 0);
}

static void sizes_of(const struct objective *o, int64_t length, int64_t target, struct example_sizes *sizes)
{
    *sizes = (struct example_sizes){ .rows = length, .sequences = 1 };
    if (o->documents)
        sizes->sequences = length; /* a document may be as short as a token */
    else if (o->kind == OBJECTIVE_SPAN_CORRUPTION)
        span_sizes(length, o->noise, o->mean_span, sizes);
    else if (o->kind == OBJECTIVE_SEQ2SEQ && o->encoder)
        *sizes = (struct example_sizes){ target, length, 1 };
    else if (o->kind == OBJECTIVE_SEQ2SEQ && target > 0)
        sizes->rows = length + target < o->rows ? length + target : o->rows;
    else if (o->kind == OBJECTIVE_CLASSIFICATION && o->encoder)
        sizes->encoder_rows = length;
}

/* So that rows can be dealt out to ranks, whatever the data. */
static int64_t rounded(int64_t rows, int64_t most)
{
    int64_t up = (rows + ROWS_MULTIPLE - 1) / ROWS_MULTIPLE * ROWS_MULTIPLE;

    return up < most ? up : most;
}

void objective_sizes(const struct objective *o, const struct sample_source *source,
                     struct example_sizes *sizes)
{
    struct example_sizes most;

    sizes_of(o, source->max_length, source->max_target, &most);
    if (o->kind == OBJECTIVE_SEQ2SEQ && !o->encoder && source->max_target > 0)
        most.rows = o->rows;
    sizes_of(o, sample_longest(source), sample_longest_target(source), sizes);
    sizes->rows = rounded(sizes->rows, most.rows);
    sizes->encoder_rows = rounded(sizes->encoder_rows, most.encoder_rows);
    sizes->places = most.rows;
    sizes->encoder_places = most.encoder_rows;
}

void example_init(struct example *e, const struct example_sizes *sizes)
{
    *e = (struct example){ 0 };
    e->ids = mem_alloc_array(2 * (size_t)sizes->rows + (size_t)sizes->encoder_rows + 1, sizeof(*e->ids));
    e->labels = e->ids + sizes->rows;
    e->encoder_ids = e->labels + sizes->rows;
}

void example_release(struct example *e)
{
    mem_free(e->ids);
    *e = (struct example){ 0 };
}

/* ---- the objectives ---- */

static void copy_to_encoder(const struct sample *s, struct example *e)
{
    e->encoder_length = s->length;
    memcpy(e->encoder_ids, s->ids, (size_t)s->length * sizeof(*s->ids));
}

static void copy_ids(const struct sample *s, struct example *e)
{
    e->length = s->length;
    memcpy(e->ids, s->ids, (size_t)s->length * sizeof(*e->ids));
}

static void set_unlabelled(struct example *e)
{
    for (int64_t i = 0; i < e->length; i++)
        e->labels[i] = NO_LABEL;
}

/* A document's last row has no label, as what follows is another's. */
static void causal(const struct sample *s, struct example *e)
{
    const int32_t *labels = s->labelled ? s->labels : s->ids;

    copy_ids(s, e);
    e->label_shift = 1;
    for (int64_t i = 0; i + 1 < s->length; i++)
        e->labels[i] = labels[i + 1];
    e->labels[s->length - 1] = NO_LABEL;
    for (int64_t i = 1; i < s->start_count; i++)
        e->labels[s->starts[i] - 1] = NO_LABEL;
}

/* Of the tokens that are chosen, 8 of 10 are replaced by the mask and 1 of 10 by any word: Devlin et al.,
 * "BERT", 2019. Rows that come with labels are as somebody wanted them. */
static int masked(const struct objective *o, const struct example_key *key, const struct sample *s,
                  struct example *e)
{
    const struct rng_key random = { .seed = key->seed, .stream = rng_stream("mask") + (uint32_t)key->epoch };
    uint32_t chosen = (uint32_t)fmin(o->noise * 0x1p32, 0x1p32 - 1), bits[4];

    copy_ids(s, e);
    if (s->labelled) {
        memcpy(e->labels, s->labels, (size_t)s->length * sizeof(*e->labels));
        return OK;
    }
    if (o->mask < 0)
        return fail(ERR_DATA, "sample %lld has no labels, and the model no tokenizer with a mask token",
                    (long long)key->index);
    set_unlabelled(e);
    for (int64_t i = 0; i < s->length; i++) {
        int32_t id = s->ids[i];
        if (o->special && id < o->vocab && o->special[id])
            continue;
        rng_bits(random, (uint64_t)key->index, (uint64_t)i, bits);
        if (bits[0] >= chosen)
            continue;
        e->labels[i] = id;
        if (bits[1] < 0xcccccccdu) /* 0.8 */
            e->ids[i] = o->mask;
        else if (bits[1] < 0xe6666666u) /* 0.9 */
            e->ids[i] = (int32_t)((uint64_t)bits[2] * (uint64_t)o->vocab >> 32);
    }
    return OK;
}

/* The decoder reads what it should write, one row late. */
static void shift_right(const struct objective *o, const int32_t *ids, struct example *e)
{
    e->ids[0] = o->decoder_start;
    memcpy(e->ids + 1, ids, (size_t)(e->length - 1) * sizeof(*ids));
}

static void translated(const struct objective *o, const struct sample *s, struct example *e)
{
    if (o->encoder) {
        copy_to_encoder(s, e);
        e->length = s->target_length;
        memcpy(e->labels, s->target, (size_t)e->length * sizeof(*e->labels));
        shift_right(o, e->labels, e);
        return;
    }
    if (s->target_length == 0) { /* rows of ids whose labels say what the prompt is */
        causal(s, e);
        return;
    }
    int64_t length = s->length + s->target_length;
    e->length = length < o->rows ? length : o->rows;
    for (int64_t i = 0; i < e->length; i++)
        e->ids[i] = i < s->length ? s->ids[i] : s->target[i - s->length];
    for (int64_t i = 0; i < e->length; i++)
        e->labels[i] = i + 1 >= s->length && i + 1 < e->length ? e->ids[i + 1] : NO_LABEL;
}

/* As transformers' T5ForSequenceClassification has it. */
static int find_eos(const struct objective *o, const struct example_key *key, const struct sample *s,
                    int64_t *row)
{
    for (*row = s->length - 1; *row >= 0 && s->ids[*row] != o->eos;)
        --*row;
    return *row >= 0 ? OK
                     : fail(ERR_DATA,
                            "sample %lld: Each example must contain at least one <eos> token. (id %d, which "
                            "the tokenizer does not add)",
                            (long long)key->index, o->eos);
}

static int classified(const struct objective *o, const struct example_key *key, const struct sample *s,
                      struct example *e)
{
    int64_t row = o->causal ? s->length - 1 : 0;

    if (o->classes > 0 && (s->class < 0 || s->class >= o->classes))
        return fail(ERR_DATA, "sample %lld: class is %d (expected 0 to %lld)", (long long)key->index,
                    s->class, (long long)o->classes - 1);
    copy_ids(s, e);
    set_unlabelled(e);
    if (o->encoder) {
        TRY(find_eos(o, key, s, &row));
        copy_to_encoder(s, e);
        shift_right(o, s->ids, e);
    }
    e->labels[row] = s->class >= 0 ? s->class : 0;
    return OK;
}

int objective_apply(const struct objective *o, const struct example_key *key, const struct sample *s,
                    struct example *e)
{
    e->sample = s;
    e->encoder_length = e->label_shift = 0;
    switch (o->kind) {
    case OBJECTIVE_CLM: causal(s, e); break;
    case OBJECTIVE_MLM: return masked(o, key, s, e);
    case OBJECTIVE_SEQ2SEQ: translated(o, s, e); break;
    case OBJECTIVE_CLASSIFICATION: return classified(o, key, s, e);
    case OBJECTIVE_SPAN_CORRUPTION:
        span_corrupt(o, key, s, e);
        shift_right(o, e->labels, e);
        break;
    case OBJECTIVE_COUNT: break;
    }
    return OK;
}

/* ---- packing ---- */

/* A document after the other, each a sequence of its own. */
static void pack_documents(const struct example *e, struct batch *b, int64_t place)
{
    const struct sample *s = e->sample;

    for (int64_t d = 0; d < s->start_count || d == 0; d++) { /* none are said: one */
        int64_t begin = s->start_count > 0 ? s->starts[d] : 0;
        int64_t end = d + 1 < s->start_count ? s->starts[d + 1] : e->length;
        batch_add(b, e->ids + begin, e->labels + begin, end - begin, place + begin, 1);
    }
}

void example_pack(const struct objective *o, const struct example *e, struct batch *b, int64_t place,
                  int64_t encoder_place)
{
    const struct sample *s = e->sample;
    int64_t first = b->rows.count, labels = b->label_count;

    if (o->encoder)
        batch_add_encoder(b, e->encoder_ids, e->encoder_length, encoder_place, 1);
    pack_documents(e, b, place);
    for (int64_t i = first; i < b->rows.count; i++)
        b->rows.positions[i] += (int32_t)o->first_position;
    if (s->typed && !o->encoder)
        memcpy(b->rows.token_types + first, s->types, (size_t)e->length * sizeof(*s->types));
    for (int64_t k = labels; k < b->label_count && b->target_width > 0; k++) {
        int64_t at = o->kind == OBJECTIVE_CLASSIFICATION || !s->of_labels
                         ? 0
                         : b->label_rows[k] - first + e->label_shift;
        memcpy(b->targets + k * b->target_width, s->numbers + at * b->target_width,
               (size_t)b->target_width * sizeof(*s->numbers));
    }
}
