/* attention, backward -- after Dao et al., "FlashAttention-2" (2023): probabilities are made again from the
 * scores and the log-sum-exp of the forward pass, and with D = sum(dout * out) of each query dP = dout v^T,
 * dS = P (keep dP - D) scale,  dv += (keep P)^T dout,  dk += dS^T q,  dq += dS k.
 *
 * A task is one sequence and key/value head: it goes over the heads of the group, their tiles of queries, and
 * for each over the tiles of keys. dq grows in scratch, dk and dv in the rows of the output, which no other
 * task writes: no atomics, one order of sums on any number of threads, and every product is made once. Each
 * task sums the gradient of the table of relative positions by itself; the sums of all sequences are added in
 * order at the end. */
#include "base/parallel.h"
#include "cpu/attend.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/relative_tile.h"

struct work {
    struct attend at;
    struct relative relative;
    float *sums; /* [sequence][head][bucket] gradient of the table; NULL: not wanted */
    const struct view *dtable;
    bool add;                 /* to what dtable holds */
    struct packed dq, dk, dv; /* data NULL: not wanted */
    const float *out, *lse, *dout;
    float *scratch;
    int64_t scratch_floats;
};

struct tile { /* one tile of queries; in what is marked "columns" the queries lie side by side */
    struct queries q;
    float *sums;                      /* of this sequence and head, as in struct work */
    int64_t g, start, end;            /* key/value head, key rows of the sequence */
    int64_t row;                      /* width rounded up to whole vectors */
    float *q_columns, *dout_columns;  /* [K][QUERIES], q scaled */
    float *dq_columns;                /* [K][QUERIES] */
    float *q_rows, *dout_rows;        /* [QUERIES][row], zeros after K */
    float *p, *ds;                    /* [KEYS][QUERIES]: probabilities as dropped out; dP, then dS */
    float lse[QUERIES], sum[QUERIES]; /* sum: D */
};

static int64_t scratch_floats(int64_t width)
{
    return (3 * width + 2 * round_lanes(width) + 2 * KEYS) * QUERIES;
}

static void copy_rows(float *to, int64_t to_row, const float *from, int64_t from_row, int64_t count,
                      int64_t width)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t c = 0; c < width; c += LANES)
            vec_store(to + i * to_row + c, vec_load_upto(from + i * from_row + c, width - c));
}

static float dot(const float *x, const float *y, int64_t width)
{
    vec sum = vec_zero();
    for (int64_t c = 0; c < width; c += LANES)
        sum = vec_fma(vec_load_upto(x + c, width - c), vec_load_upto(y + c, width - c), sum);
    return vec_sum(sum);
}

/* Everything a tile of queries needs from memory. */
static void load_queries(const struct work *w, struct tile *t, int64_t first, int64_t count)
{
    const struct attend *at = &w->at;
    int64_t row = at->heads * at->width, from = first * row + t->q.head * at->width;
    const float *q = at->q.data + first * at->q.row + t->q.head * at->width;

    queries_init(&t->q, at, first, count);
    rows_to_columns(t->q_columns, q, at->q.row, count, at->width, at->scale * log2_e);
    rows_to_columns(t->dout_columns, w->dout + from, row, count, at->width, 1);
    copy_rows(t->q_rows, t->row, q, at->q.row, count, at->width);
    copy_rows(t->dout_rows, t->row, w->dout + from, row, count, at->width);
    memset(t->dq_columns, 0, (size_t)(at->width * QUERIES) * sizeof(float));
    for (int64_t i = 0; i < t->q.wide; i++) {
        t->lse[i] = i < count ? log2_e * w->lse[(first + i) * at->heads + t->q.head] : INFINITY;
        t->sum[i] = i < count ? dot(w->dout + from + i * row, w->out + from + i * row, at->width) : 0;
    }
}

/* p: scores to probabilities (0 where lse is infinite); ds: dP to dS. Dropout goes into both. */
static void score_grads(const struct attend *w, struct tile *t, const struct keys *k)
{
    vec scale = vec_set(w->scale), one = vec_set(1.0f), factor[4] = { one, one, one, one };

    for (int64_t j = 0; j < k->count; j += 4) {
        for (int64_t i = 0; i < t->q.wide; i += LANES) {
            vec lse = vec_load(t->lse + i), sum = vec_load(t->sum + i);
            int64_t keys = least_of(4, k->until[i / HALF] - j);
            if (w->dropout && keys > 0)
                keep_quad(w, &t->q, i, k->first - k->start + j, factor);
            for (int64_t r = 0; r < keys; r++) {
                float *p = t->p + (j + r) * QUERIES + i, *ds = t->ds + (j + r) * QUERIES + i;
                vec share = vec_exp2_below(vec_load(p) - lse), dropped = share * factor[r];
                vec_store(p, dropped);
                vec_store(ds, scale * (dropped * vec_load(ds) - share * sum));
            }
        }
    }
}

/* Scores and dP of a tile of pairs: keys times columns of queries. */
static void pair_products(const struct attend *w, struct tile *t, const struct keys *k)
{
    struct product scores = { .c = t->p,
                              .a = w->k.data + k->first * w->k.row + t->g * w->width,
                              .b = t->q_columns,
                              .c_row = QUERIES,
                              .a_row = w->k.row,
                              .a_depth = 1,
                              .b_row = QUERIES,
                              .depth = w->width,
                              .cols = t->q.wide };
    struct product values = scores;

    values.c = t->ds;
    values.a = w->v.data + k->first * w->v.row + t->g * w->width;
    values.a_row = w->v.row;
    values.b = t->dout_columns;
    product_of_scores(scores, k);
    product_of_scores(values, k);
}

static void attend_keys(const struct work *w, struct tile *t, const struct keys *k)
{
    const struct attend *at = &w->at;
    struct product keys = { .c = w->dk.data + k->first * w->dk.row + t->g * at->width,
                            .a = t->ds,
                            .b = t->q_rows,
                            .c_row = w->dk.row,
                            .a_row = QUERIES,
                            .a_depth = 1,
                            .b_row = t->row,
                            .depth = t->q.count,
                            .cols = at->width,
                            .add = true };
    struct product values = keys;
    struct product queries = { .c = t->dq_columns,
                               .a = at->k.data + k->first * at->k.row + t->g * at->width,
                               .b = t->ds,
                               .c_row = QUERIES,
                               .a_row = 1,
                               .a_depth = at->k.row,
                               .b_row = QUERIES,
                               .rows = at->width,
                               .cols = t->q.wide,
                               .add = true };

    values.c = w->dv.data + k->first * w->dv.row + t->g * at->width;
    values.a = t->p;
    values.b = t->dout_rows;
    values.c_row = w->dv.row;
    pair_products(at, t, k);
    if (w->relative.table)
        relative_add(&w->relative, at, &t->q, k, t->p);
    if (k->allowed == KEYS_SOME)
        mask_scores(at, &t->q, k, t->p);
    score_grads(at, t, k);
    if (t->sums)
        relative_gather(&w->relative, at, &t->q, k, t->ds, t->sums);
    if (w->dv.data)
        product_over_queries(values, k);
    if (w->dk.data)
        product_over_queries(keys, k);
    product_over_keys(queries, k);
}

static void query_tile(const struct work *w, struct tile *t, int64_t first, int64_t count)
{
    const struct attend *at = &w->at;

    load_queries(w, t, first, count);
    for (int64_t j = t->start; j < t->end; j += KEYS) {
        struct keys k = keys_init(at, &t->q, t->start, j, least_of(KEYS, t->end - j));
        if (k.allowed != KEYS_NONE)
            attend_keys(w, t, &k);
    }
    columns_to_rows(w->dq.data + first * w->dq.row + t->q.head * at->width, w->dq.row, t->dq_columns, count,
                    at->width, NULL);
}

static void zero_head(struct packed p, int64_t first, int64_t last, int64_t head, int64_t width)
{
    for (int64_t i = first; p.data && i < last; i++)
        memset(p.data + i * p.row + head * width, 0, (size_t)width * sizeof(float));
}

static void run_task(void *context, int64_t index)
{
    const struct work *w = context;
    const struct attend *at = &w->at;
    int64_t s = index / at->kv_heads, floats = at->width * QUERIES;
    int64_t first = at->q_offsets[s], last = at->q_offsets[s + 1];
    float *scratch = w->scratch + parallel_thread_index() * w->scratch_floats;
    struct tile t = { .g = index % at->kv_heads,
                      .start = at->kv_offsets[s],
                      .end = at->kv_offsets[s + 1],
                      .row = round_lanes(at->width),
                      .q_columns = scratch,
                      .dout_columns = scratch + floats,
                      .dq_columns = scratch + 2 * floats,
                      .p = scratch + 3 * floats };

    t.ds = t.p + KEYS * QUERIES;
    t.q_rows = t.ds + KEYS * QUERIES;
    t.dout_rows = t.q_rows + t.row * QUERIES;
    zero_head(w->dk, t.start, t.end, t.g, at->width);
    zero_head(w->dv, t.start, t.end, t.g, at->width);
    for (t.q.head = 0; t.q.head < at->heads; t.q.head++) {
        int64_t g = attend_kv_head(at, t.q.head), buckets = w->relative.buckets;
        t.sums = w->sums ? w->sums + (s * at->heads + t.q.head) * buckets : NULL;
        if (t.sums && (g == t.g || (g < 0 && t.g == 0)))
            memset(t.sums, 0, (size_t)buckets * sizeof(float));
        if (g < 0 && t.g == 0) /* a head that is padding */
            zero_head(w->dq, first, last, t.q.head, at->width);
        for (int64_t i = first; g == t.g && i < last; i += QUERIES)
            query_tile(w, &t, i, least_of(QUERIES, last - i));
    }
}

/* Where the gradient of k or v goes: to an output of its own, or to its part of dq when it is q's tensor. */
static struct packed key_output(const struct kernel_args *a, int input, double part)
{
    if (input < a->node->nout && a->out[input].data)
        return packed_part(&a->out[input], part);
    if (a->node->in[input] == a->node->in[ATTENTION_Q])
        return packed_part(&a->out[ATTENTION_GRAD_DQ], part);
    return (struct packed){ 0 };
}

/* Parts of the outputs that no gradient goes to are zero: some output has more parts than gradients. */
static void zero_spare_parts(const struct kernel_args *a)
{
    for (int j = 0; j < ATTENTION_GRAD_DTABLE; j++) {
        const struct view *v = &a->out[j];
        int64_t gradients = 1;
        for (int i = ATTENTION_K; j == ATTENTION_GRAD_DQ && i <= ATTENTION_V; i++)
            gradients += a->node->in[i] == a->node->in[ATTENTION_Q] && !(i < a->node->nout && a->out[i].data);
        if (v->data && v->dim[1] > gradients)
            memset(v->data, 0, (size_t)view_count(v) * sizeof(float));
    }
}

/* A bucket's row of the table's gradient. Scores are scaled before the bias is added. */
static void table_row(void *context, int64_t bucket)
{
    const struct work *w = context;
    int64_t heads = w->at.heads, buckets = w->relative.buckets;
    float *row = (float *)w->dtable->data + bucket * heads;

    for (int64_t h = 0; h < heads; h++) {
        double sum = 0;
        for (int64_t s = 0; s < w->at.sequences; s++)
            sum += (double)w->sums[(s * heads + h) * buckets + bucket];
        row[h] = (float)(sum / (double)w->at.scale + (w->add ? (double)row[h] : 0));
    }
}

/* The parts of the workspace, in bytes: the list of buckets, the sums, the scratch of each thread. */
static int64_t sums_bytes(const struct node *n, int64_t sequences, int64_t heads)
{
    const struct tensor *table = n->in[ATTENTION_TABLE];

    return table ? ceil_div(sequences * heads * table->dims[0].size * (int64_t)sizeof(float), 64) * 64 : 0;
}

static void run(const struct kernel_args *a)
{
    const struct node *n = a->node;
    const double *attr = n->attr;
    struct work w = { .at = attend_init(a),
                      .dtable = &a->out[ATTENTION_GRAD_DTABLE],
                      .dq = packed_part(&a->out[ATTENTION_GRAD_DQ], attr[ATTENTION_Q_PART]),
                      .dk = key_output(a, ATTENTION_K, attr[ATTENTION_K_PART]),
                      .dv = key_output(a, ATTENTION_V, attr[ATTENTION_V_PART]),
                      .out = a->in[ATTENTION_GRAD_OUT].data,
                      .lse = a->in[ATTENTION_GRAD_LSE].data,
                      .dout = a->in[ATTENTION_GRAD_DOUT].data };
    char *workspace = a->workspace;

    relative_init(&w.relative, &a->in[ATTENTION_TABLE], attr[ATTENTION_MAX_DISTANCE],
                  attr[ATTENTION_BIDIRECTIONAL] != 0, workspace);
    workspace += relative_bytes(n->in[ATTENTION_TABLE], attr[ATTENTION_MAX_DISTANCE]);
    w.sums = w.dtable->data ? (float *)(void *)workspace : NULL;
    w.add = a->add[ATTENTION_GRAD_DTABLE];
    workspace += sums_bytes(n, a->in[ATTENTION_Q_OFFSETS].dim[0], w.at.heads);
    w.scratch = (float *)(void *)workspace;
    w.scratch_floats = scratch_floats(w.at.width);
    zero_spare_parts(a);
    parallel_for(w.at.sequences * w.at.kv_heads, run_task, &w);
    parallel_for(w.sums ? w.relative.buckets : 0, table_row, &w);
    ref_attention_blank_grad(a);
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *q = n->in[ATTENTION_Q];

    return relative_bytes(n->in[ATTENTION_TABLE], n->attr[ATTENTION_MAX_DISTANCE]) +
           sums_bytes(n, n->in[ATTENTION_Q_OFFSETS]->dims[0].size, tensor_local_dim(q, 2, mesh)) +
           m->threads * scratch_floats(q->dims[3].size) * (int64_t)sizeof(float);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    if (n->in[ATTENTION_TABLE] && n->attr[ATTENTION_SCALE] == 0)
        return "the gradient of the table is found from scaled ones";
    return attend_refuses(n);
}

const struct kernel ISA(cpu_attention_grad)[] = {
    { "tiles " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run },
    { "reference", .workspace = ref_attention_grad_workspace, .run = ref_attention_grad },
    { 0 },
};
