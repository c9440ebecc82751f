/* attention, forward -- after Dao et al., "FlashAttention-2" (2023): a tile of 64 queries goes over the keys
 * in tiles of 64, keeping for each query the largest score, the sum of exponentials and the weighted sum of
 * values so far, and scales what it has when a larger score comes. Nothing of size T x T exists.
 *
 * One call of parallel_for goes over all (sequence, head, query tile); each writes rows of its own. Tiles of
 * keys in which no pair is allowed are skipped, so causal attention costs half. */
#include "base/parallel.h"
#include "cpu/attend.h"
#include "cpu/isa.h"
#include "cpu/many.h"
#include "cpu/ref.h"
#include "cpu/relative_tile.h"

struct work {
    struct attend at;
    struct relative relative;
    struct many many; /* tiles of queries of each sequence */
    float *out, *lse;
    float *scratch; /* of each thread */
    int64_t scratch_floats;
};

struct tile { /* everything of one tile of queries; queries side by side */
    struct queries q;
    const float *k, *v; /* this head of row 0 */
    float *columns;     /* [K][QUERIES] queries, scaled */
    float *sum;         /* [K][QUERIES] weighted sum of values */
    float *scores;      /* [KEYS][QUERIES] scores, then probabilities */
    float most[QUERIES], total[QUERIES], shrink[QUERIES];
};

static int64_t scratch_floats(int64_t width)
{
    return (2 * width + KEYS) * QUERIES;
}

/* Scores to exponentials under the new largest score; shrink: what earlier exponentials are scaled down with.
 */
static void soften(struct tile *t, const struct keys *k)
{
    for (int64_t i = 0; i < t->q.wide; i += LANES) {
        float *s = t->scores + i;
        int64_t keys = k->until[i / HALF];
        vec before = vec_load(t->most + i), most = before, other = before, total = vec_zero();
        for (int64_t j = 0; j + 1 < keys; j += 2) {
            most = vec_max(most, vec_load(s + j * QUERIES));
            other = vec_max(other, vec_load(s + (j + 1) * QUERIES));
        }
        if (keys % 2 != 0)
            most = vec_max(most, vec_load(s + (keys - 1) * QUERIES));
        most = vec_max(most, other);
        vec level = vec_max(vec_set(-FLT_MAX), most); /* finite where nothing is allowed yet */
        for (int64_t j = 0; j < keys; j++) {
            vec p = vec_exp2_below(vec_load(s + j * QUERIES) - level);
            total += p;
            vec_store(s + j * QUERIES, p);
        }
        vec shrink = vec_exp2_below(before - level);
        vec_store(t->most + i, most);
        vec_store(t->shrink + i, shrink);
        vec_store(t->total + i, vec_fma(vec_load(t->total + i), shrink, total));
    }
}

static void drop(const struct attend *w, const struct tile *t, const struct keys *k)
{
    for (int64_t j = 0; j < k->count; j += 4) {
        for (int64_t i = 0; i < t->q.wide; i += LANES) {
            int64_t keys = least_of(4, k->until[i / HALF] - j);
            vec factor[4];
            if (keys > 0)
                keep_quad(w, &t->q, i, k->first - k->start + j, factor);
            for (int64_t r = 0; r < keys; r++) {
                float *p = t->scores + (j + r) * QUERIES + i;
                vec_store(p, factor[r] * vec_load(p));
            }
        }
    }
}

static void attend_keys(const struct work *work, struct tile *t, const struct keys *k)
{
    const struct attend *w = &work->at;
    struct product scores = { .c = t->scores,
                              .a = t->k + k->first * w->k.row,
                              .b = t->columns,
                              .c_row = QUERIES,
                              .a_row = w->k.row,
                              .a_depth = 1,
                              .b_row = QUERIES,
                              .depth = w->width,
                              .cols = t->q.wide };
    struct product values = { .c = t->sum,
                              .a = t->v + k->first * w->v.row,
                              .b = t->scores,
                              .c_row = QUERIES,
                              .a_row = 1,
                              .a_depth = w->v.row,
                              .b_row = QUERIES,
                              .rows = w->width,
                              .cols = t->q.wide,
                              .shrink = t->shrink };

    product_of_scores(scores, k);
    if (work->relative.table)
        relative_add(&work->relative, w, &t->q, k, t->scores);
    if (k->allowed == KEYS_SOME)
        mask_scores(w, &t->q, k, t->scores);
    soften(t, k);
    if (w->dropout)
        drop(w, t, k);
    product_over_keys(values, k);
}

/* Writes the tile's rows of out and lse: zero and +infinity where no key was allowed. */
static void finish(const struct work *w, struct tile *t)
{
    const struct attend *at = &w->at;
    int64_t row = at->heads * at->width;
    float *out = w->out + t->q.first * row + t->q.head * at->width, level[QUERIES], share[QUERIES];

    for (int64_t i = 0; i < t->q.wide; i += LANES) {
        vec total = vec_load(t->total + i);
        vec_store(share + i, vec_if_less(vec_zero(), total, vec_set(1.0f) / total, total));
        vec_store(level + i, vec_fma(vec_load(t->most + i), vec_set(log_2), vec_log(total)));
    }
    columns_to_rows(out, row, t->sum, t->q.count, at->width, share);
    for (int64_t i = 0; w->lse && i < t->q.count; i++)
        w->lse[(t->q.first + i) * at->heads + t->q.head] = t->total[i] == 0 ? INFINITY : level[i];
}

static void padding_head(const struct work *w, const struct queries *q)
{
    const struct attend *at = &w->at;

    for (int64_t i = q->first; i < q->first + q->count; i++) {
        memset(w->out + (i * at->heads + q->head) * at->width, 0, (size_t)at->width * sizeof(float));
        if (w->lse)
            w->lse[i * at->heads + q->head] = 0;
    }
}

static void query_tile(const struct work *w, int64_t sequence, int64_t head, int64_t tile, float *scratch)
{
    const struct attend *at = &w->at;
    int64_t start = at->kv_offsets[sequence], end = at->kv_offsets[sequence + 1],
            g = attend_kv_head(at, head);
    int64_t first = at->q_offsets[sequence] + tile * QUERIES, floats = at->width * QUERIES;
    struct tile t = { .columns = scratch, .sum = scratch + floats, .scores = scratch + 2 * floats };

    t.q.head = head;
    queries_init(&t.q, at, first, least_of(QUERIES, at->q_offsets[sequence + 1] - first));
    if (g < 0) {
        padding_head(w, &t.q);
        return;
    }
    t.k = at->k.data + g * at->width;
    t.v = at->v.data + g * at->width;
    memset(t.sum, 0, (size_t)floats * sizeof(float));
    for (int64_t i = 0; i < QUERIES; i++)
        t.most[i] = -INFINITY;
    rows_to_columns(t.columns, at->q.data + first * at->q.row + head * at->width, at->q.row, t.q.count,
                    at->width, at->scale * log2_e);
    for (int64_t j = start; j < end; j += KEYS) {
        struct keys k = keys_init(at, &t.q, start, j, least_of(KEYS, end - j));
        if (k.allowed != KEYS_NONE)
            attend_keys(w, &t, &k);
    }
    finish(w, &t);
}

/* Tiles of a head follow each other, so that its keys stay in the cache; the last, longest ones come first.
 */
static void run_tile(void *context, int64_t index)
{
    const struct work *w = context;
    int sequence = many_array(&w->many, index / w->at.heads);
    int64_t first = w->many.first[sequence], tiles = w->many.first[sequence + 1] - first;
    int64_t rest = index - first * w->at.heads;

    query_tile(w, sequence, rest / tiles, tiles - 1 - rest % tiles,
               w->scratch + parallel_thread_index() * w->scratch_floats);
}

static int64_t tiles_bytes(int64_t sequences)
{
    return ceil_div((sequences + 1) * (int64_t)sizeof(int64_t), 64) * 64;
}

static void run(const struct kernel_args *a)
{
    struct work w = { .at = attend_init(a),
                      .many = { .tile = QUERIES },
                      .out = a->out[ATTENTION_OUT].data,
                      .lse = a->out[ATTENTION_LSE].data };

    char *workspace = a->workspace;

    relative_init(&w.relative, &a->in[ATTENTION_TABLE], a->node->attr[ATTENTION_MAX_DISTANCE],
                  a->node->attr[ATTENTION_BIDIRECTIONAL] != 0, workspace);
    workspace += relative_bytes(a->node->in[ATTENTION_TABLE], a->node->attr[ATTENTION_MAX_DISTANCE]);
    w.many.first = (int64_t *)(void *)workspace;
    for (int64_t s = 0; s < w.at.sequences; s++)
        many_add(&w.many, w.at.q_offsets[s + 1] - w.at.q_offsets[s]);
    w.scratch = (float *)(void *)(workspace + tiles_bytes(a->in[ATTENTION_Q_OFFSETS].dim[0]));
    w.scratch_floats = scratch_floats(w.at.width);
    parallel_for(many_tiles(&w.many) * w.at.heads, run_tile, &w);
    ref_attention_blank(a);
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    int64_t width = n->in[ATTENTION_Q]->dims[3].size;

    return relative_bytes(n->in[ATTENTION_TABLE], n->attr[ATTENTION_MAX_DISTANCE]) +
           tiles_bytes(n->in[ATTENTION_Q_OFFSETS]->dims[0].size) +
           m->threads * scratch_floats(width) * (int64_t)sizeof(float);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    return attend_refuses(n);
}

const struct kernel ISA(cpu_attention)[] = {
    { "tiles " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run },
    { "reference", .workspace = ref_attention_workspace, .run = ref_attention },
    { 0 },
};
