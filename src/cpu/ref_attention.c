/* References of attention and its gradient. Nothing is kept between pairs of query and key row: every
 * probability is made again from its score. The gradient of keys and values goes over the keys, that of
 * queries over the queries. */
#include "base/rng.h"
#include "cpu/ref.h"
#include "ops/bucket.h"
#include "ops/ops.h"

struct pair { /* query row i and key row j of one sequence under local head h and its kv head g */
    int64_t i, j, h, g;
    int64_t kv_first, kv_count; /* rows of the sequence */
};

int64_t ref_attention_workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    return 2 * n->in[ATTENTION_Q]->dims[3].size * (int64_t)sizeof(double);
}

int64_t ref_attention_grad_workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    const struct tensor *table = n->in[ATTENTION_TABLE];
    int64_t rows = ref_attention_workspace(n, mesh, m), sums = table ? tensor_count(table) : 0;

    return rows > sums * (int64_t)sizeof(double) ? rows : sums * (int64_t)sizeof(double);
}

/* Index of entry c of a row and head in a packed (N, P, H, K) tensor. */
static int64_t packed(const struct view *v, int64_t row, int part, int64_t h, int64_t c)
{
    return ((row * v->dim[1] + part) * v->dim[2] + h) * v->dim[3] + c;
}

static int part_of(const struct kernel_args *a, int attr)
{
    return (int)a->node->attr[attr];
}

/* Local kv head of local head h; -1 for a padded head. */
static int64_t kv_head(const struct kernel_args *a, int64_t h)
{
    const struct view *q = &a->in[ATTENTION_Q], *k = &a->in[ATTENTION_K];
    int64_t whole = q->first[2] + h;

    if (whole >= q->whole[2])
        return -1;
    int64_t g = whole / (q->whole[2] / k->whole[2]) - k->first[2];
    if (g < 0 || g >= k->dim[2])
        BUG("attention: head %lld has its key head on another rank", (long long)whole);
    return g;
}

static bool allowed(const struct kernel_args *a, const struct pair *p)
{
    int64_t qp = ((const int32_t *)a->in[ATTENTION_Q_POSITIONS].data)[p->i];
    int64_t kp = ((const int32_t *)a->in[ATTENTION_KV_POSITIONS].data)[p->j];
    int64_t window = (int64_t)a->node->attr[ATTENTION_WINDOW];

    return kp >= 0 && (a->node->attr[ATTENTION_CAUSAL] == 0 || kp <= qp) && (window == 0 || qp - kp < window);
}

/* Index in the table of relative positions. */
static int64_t table_entry(const struct kernel_args *a, const struct pair *p)
{
    const struct view *table = &a->in[ATTENTION_TABLE];
    int64_t qp = ((const int32_t *)a->in[ATTENTION_Q_POSITIONS].data)[p->i];
    int64_t kp = ((const int32_t *)a->in[ATTENTION_KV_POSITIONS].data)[p->j];
    struct bucketing b = { .buckets = table->dim[0],
                           .max_distance = (int64_t)a->node->attr[ATTENTION_MAX_DISTANCE],
                           .bidirectional = a->node->attr[ATTENTION_BIDIRECTIONAL] != 0 };

    return bucket_of(&b, kp - qp) * table->dim[1] + p->h;
}

static double score(const struct kernel_args *a, const struct pair *p)
{
    const struct view *q = &a->in[ATTENTION_Q], *k = &a->in[ATTENTION_K];
    double sum = 0, bias = 0;

    for (int64_t c = 0; c < q->dim[3]; c++)
        sum += ref_load(q, packed(q, p->i, part_of(a, ATTENTION_Q_PART), p->h, c)) *
               ref_load(k, packed(k, p->j, part_of(a, ATTENTION_K_PART), p->g, c));
    if (a->in[ATTENTION_TABLE].data)
        bias = ref_load(&a->in[ATTENTION_TABLE], table_entry(a, p));
    return sum * a->node->attr[ATTENTION_SCALE] + bias;
}

/* What dropout multiplies this probability with. */
static double kept(const struct kernel_args *a, const struct pair *p)
{
    double rate = a->node->attr[ATTENTION_DROPOUT];
    if (rate == 0)
        return 1;
    struct rng_key key = { .seed = a->seed, .stream = a->node->stream };
    int64_t place = ((const int64_t *)a->in[ATTENTION_PLACE].data)[p->i];
    uint64_t at = (uint64_t)(a->in[ATTENTION_Q].first[2] + p->h) << 32 | (uint64_t)(p->j - p->kv_first);
    uint32_t bits[4];
    rng_bits(key, a->step << 40 | (uint64_t)place, at / 4, bits);
    return bits[at % 4] >= rate * 4294967296.0 ? 1 / (1 - rate) : 0;
}

static double probability(const struct kernel_args *a, const struct pair *p, double lse)
{
    return allowed(a, p) ? exp(score(a, p) - lse) : 0;
}

/* log sum exp of the allowed scores of row i, +infinity when there are none */
static double row_lse(const struct kernel_args *a, struct pair p)
{
    double most = -INFINITY, sum = 0;
    bool any = false;

    for (p.j = p.kv_first; p.j < p.kv_first + p.kv_count; p.j++) {
        if (allowed(a, &p)) {
            any = true;
            most = fmax(most, score(a, &p));
        }
    }
    if (!any)
        return INFINITY;
    for (p.j = p.kv_first; p.j < p.kv_first + p.kv_count; p.j++)
        sum += allowed(a, &p) ? exp(score(a, &p) - most) : 0;
    return most + log(sum);
}

static void forward_row(const struct kernel_args *a, struct pair p)
{
    const struct view *v = &a->in[ATTENTION_V], *out = &a->out[ATTENTION_OUT];
    int64_t width = v->dim[3], heads = out->dim[1];
    double *sum = a->workspace, lse = p.g < 0 ? 0 : row_lse(a, p);

    for (int64_t c = 0; c < width; c++)
        sum[c] = 0;
    for (p.j = p.kv_first; p.g >= 0 && p.j < p.kv_first + p.kv_count; p.j++) {
        double weight = probability(a, &p, lse) * kept(a, &p);
        for (int64_t c = 0; c < width && weight != 0; c++)
            sum[c] += weight * ref_load(v, packed(v, p.j, part_of(a, ATTENTION_V_PART), p.g, c));
    }
    for (int64_t c = 0; c < width; c++)
        ref_store(out, (p.i * heads + p.h) * width + c, sum[c]);
    if (a->out[ATTENTION_LSE].data)
        ref_store(&a->out[ATTENTION_LSE], p.i * heads + p.h, lse);
}

void ref_attention(const struct kernel_args *a)
{
    const int32_t *q_offsets = a->in[ATTENTION_Q_OFFSETS].data,
                  *kv_offsets = a->in[ATTENTION_KV_OFFSETS].data;
    int64_t sequences = sequence_count(a, &a->in[ATTENTION_Q_OFFSETS]);

    for (int64_t s = 0; s < sequences; s++) {
        struct pair p = { .kv_first = kv_offsets[s], .kv_count = kv_offsets[s + 1] - kv_offsets[s] };
        for (p.i = q_offsets[s]; p.i < q_offsets[s + 1]; p.i++) {
            for (p.h = 0; p.h < a->in[ATTENTION_Q].dim[2]; p.h++) {
                p.g = kv_head(a, p.h);
                forward_row(a, p);
            }
        }
    }
    ref_attention_blank(a);
}

/* Inner product of dout's row (i, h) with the same row of out, or with v's row (j, g). */
static double dout_times(const struct kernel_args *a, const struct pair *p, bool value)
{
    const struct view *dout = &a->in[ATTENTION_GRAD_DOUT], *v = &a->in[ATTENTION_V];
    int64_t width = v->dim[3], row = (p->i * dout->dim[1] + p->h) * width;
    double sum = 0;

    for (int64_t c = 0; c < width; c++)
        sum += ref_load(dout, row + c) *
               (value ? ref_load(v, packed(v, p->j, part_of(a, ATTENTION_V_PART), p->g, c))
                      : ref_load(&a->in[ATTENTION_GRAD_OUT], row + c));
    return sum;
}

/* The dropped-out probability of a pair and the gradient of its score. */
static void pair_grad(const struct kernel_args *a, const struct pair *p, double *weight, double *dscore)
{
    double lse = ref_load(&a->in[ATTENTION_GRAD_LSE], p->i * a->in[ATTENTION_GRAD_LSE].dim[1] + p->h);
    double prob = probability(a, p, lse), keep = prob != 0 ? kept(a, p) : 0;

    *weight = prob * keep;
    *dscore = 0;
    if (prob != 0 && !isinf(lse))
        *dscore = prob * (keep * dout_times(a, p, true) - dout_times(a, p, false));
}

static void query_grad(const struct kernel_args *a, struct pair p)
{
    const struct view *q = &a->in[ATTENTION_Q], *k = &a->in[ATTENTION_K], *dq = &a->out[ATTENTION_GRAD_DQ];
    double *sum = a->workspace, scale = a->node->attr[ATTENTION_SCALE], weight, dscore;

    for (int64_t c = 0; c < q->dim[3]; c++)
        sum[c] = 0;
    for (p.j = p.kv_first; p.g >= 0 && p.j < p.kv_first + p.kv_count; p.j++) {
        pair_grad(a, &p, &weight, &dscore);
        for (int64_t c = 0; c < q->dim[3] && dscore != 0; c++)
            sum[c] += scale * dscore * ref_load(k, packed(k, p.j, part_of(a, ATTENTION_K_PART), p.g, c));
    }
    for (int64_t c = 0; c < q->dim[3]; c++)
        ref_store(dq, packed(dq, p.i, part_of(a, ATTENTION_Q_PART), p.h, c), sum[c]);
}

/* The view that dk (or dv) is written to: its own, or dq where k (or v) is the same tensor as q; NULL: not
 * wanted. */
static const struct view *grad_view(const struct kernel_args *a, int input)
{
    if (input < a->node->nout && a->out[input].data)
        return &a->out[input];
    return a->node->in[input] == a->node->in[ATTENTION_Q] ? &a->out[ATTENTION_GRAD_DQ] : NULL;
}

/* dk and dv of row j under kv head g, from the query rows first .. last-1 */
static void key_grad(const struct kernel_args *a, struct pair p, int64_t first, int64_t last)
{
    const struct view *q = &a->in[ATTENTION_Q], *dout = &a->in[ATTENTION_GRAD_DOUT];
    const struct view *dk = grad_view(a, ATTENTION_K), *dv = grad_view(a, ATTENTION_V);
    int64_t width = q->dim[3];
    double *sum_k = a->workspace, *sum_v = sum_k + width, scale = a->node->attr[ATTENTION_SCALE];
    double weight, dscore;

    for (int64_t c = 0; c < 2 * width; c++)
        sum_k[c] = 0;
    for (p.h = 0; p.h < q->dim[2]; p.h++) {
        for (p.i = first; kv_head(a, p.h) == p.g && p.i < last; p.i++) {
            pair_grad(a, &p, &weight, &dscore);
            for (int64_t c = 0; c < width && weight != 0; c++)
                sum_v[c] += weight * ref_load(dout, (p.i * dout->dim[1] + p.h) * width + c);
            for (int64_t c = 0; c < width && dscore != 0; c++)
                sum_k[c] +=
                    scale * dscore * ref_load(q, packed(q, p.i, part_of(a, ATTENTION_Q_PART), p.h, c));
        }
    }
    for (int64_t c = 0; dk && c < width; c++)
        ref_store(dk, packed(dk, p.j, part_of(a, ATTENTION_K_PART), p.g, c), sum_k[c]);
    for (int64_t c = 0; dv && c < width; c++)
        ref_store(dv, packed(dv, p.j, part_of(a, ATTENTION_V_PART), p.g, c), sum_v[c]);
}

static void table_grad(const struct kernel_args *a)
{
    const int32_t *q_offsets = a->in[ATTENTION_Q_OFFSETS].data,
                  *kv_offsets = a->in[ATTENTION_KV_OFFSETS].data;
    int64_t sequences = sequence_count(a, &a->in[ATTENTION_Q_OFFSETS]);
    int64_t entries = view_count(&a->in[ATTENTION_TABLE]);
    double *sum = a->workspace, weight, dscore;
    struct pair p = { 0 };

    for (int64_t i = 0; i < entries; i++)
        sum[i] = 0;
    for (int64_t s = 0; s < sequences; s++) {
        for (p.i = q_offsets[s]; p.i < q_offsets[s + 1]; p.i++) {
            p.kv_first = kv_offsets[s];
            for (int64_t pair = 0; pair < (kv_offsets[s + 1] - p.kv_first) * a->in[0].dim[2]; pair++) {
                p.j = p.kv_first + pair / a->in[0].dim[2];
                p.h = pair % a->in[0].dim[2];
                p.g = kv_head(a, p.h);
                dscore = 0;
                if (p.g >= 0)
                    pair_grad(a, &p, &weight, &dscore);
                sum[table_entry(a, &p)] += dscore;
            }
        }
    }
    for (int64_t i = 0; i < entries; i++)
        ref_put(a, ATTENTION_GRAD_DTABLE, i, sum[i]);
}

/* ---- Blank rows: query rows with no allowed key ---- */

static bool is_blank(const struct kernel_args *a, struct pair p)
{
    for (p.j = p.kv_first; p.j < p.kv_first + p.kv_count; p.j++)
        if (allowed(a, &p))
            return false;
    return true;
}

/* How often a key of a blank row is masked, and whether its score has been put out of the sum. */
static int masks_of(const struct kernel_args *a, const struct pair *p, bool *replaced)
{
    int64_t qp = ((const int32_t *)a->in[ATTENTION_Q_POSITIONS].data)[p->i];
    int64_t kp = ((const int32_t *)a->in[ATTENTION_KV_POSITIONS].data)[p->j];
    int64_t window = (int64_t)a->node->attr[ATTENTION_WINDOW], at = kp < 0 ? p->j - p->kv_first : kp;
    bool later = a->node->attr[ATTENTION_CAUSAL] != 0 && at > qp, outside = window > 0 && qp - at >= window;

    *replaced = false;
    if (a->node->attr[ATTENTION_BLANK] == BLANK_ONE_MASK)
        return 1;
    *replaced = later || outside;
    return (kp < 0 || later) + *replaced;
}

/* The keys that a blank row attends to: those masked least. */
struct blank {
    int masks;
    double share; /* of each */
};

static struct blank blank_of(const struct kernel_args *a, struct pair p)
{
    struct blank b = { .masks = 3 };
    int64_t count = 0;
    bool ignored;

    for (p.j = p.kv_first; p.j < p.kv_first + p.kv_count; p.j++) {
        int masks = masks_of(a, &p, &ignored);
        count = masks < b.masks ? 1 : count + (masks == b.masks);
        b.masks = masks < b.masks ? masks : b.masks;
    }
    b.share = 1 / (double)count;
    return b;
}

typedef void blank_fn(const struct kernel_args *a, struct pair p, struct blank b);

/* For all blank rows of sequences that have masked keys: in others there are none. */
static void each_blank(const struct kernel_args *a, blank_fn *row)
{
    const int32_t *q_offsets = a->in[ATTENTION_Q_OFFSETS].data,
                  *kv_offsets = a->in[ATTENTION_KV_OFFSETS].data,
                  *kv_positions = a->in[ATTENTION_KV_POSITIONS].data;
    int64_t sequences = sequence_count(a, &a->in[ATTENTION_Q_OFFSETS]);

    for (int64_t s = 0; s < sequences && a->node->attr[ATTENTION_BLANK] != BLANK_ZERO; s++) {
        struct pair p = { .kv_first = kv_offsets[s], .kv_count = kv_offsets[s + 1] - kv_offsets[s] };
        bool masked = false;
        for (int64_t j = kv_offsets[s]; j < kv_offsets[s + 1]; j++)
            masked = masked || kv_positions[j] < 0;
        for (p.i = q_offsets[s]; masked && p.i < q_offsets[s + 1]; p.i++)
            if (is_blank(a, p))
                row(a, p, blank_of(a, p));
    }
}

static void blank_row(const struct kernel_args *a, struct pair p, struct blank b)
{
    const struct view *v = &a->in[ATTENTION_V], *out = &a->out[ATTENTION_OUT];
    int64_t width = v->dim[3], heads = out->dim[1];
    bool ignored;

    for (p.h = 0; p.h < heads; p.h++) {
        p.g = kv_head(a, p.h);
        for (int64_t c = 0; p.g >= 0 && c < width; c++) {
            double sum = 0;
            for (p.j = p.kv_first; p.j < p.kv_first + p.kv_count; p.j++)
                if (masks_of(a, &p, &ignored) == b.masks)
                    sum += ref_load(v, packed(v, p.j, part_of(a, ATTENTION_V_PART), p.g, c));
            ref_store(out, (p.i * heads + p.h) * width + c, sum * b.share);
        }
    }
}

void ref_attention_blank(const struct kernel_args *a)
{
    each_blank(a, blank_row);
}

static void add_to(const struct view *v, int64_t at, double x)
{
    if (v)
        ref_store(v, at, ref_load(v, at) + x);
}

static void blank_pair_grad(const struct kernel_args *a, const struct pair *p, double share, bool replaced)
{
    const struct view *q = &a->in[ATTENTION_Q], *k = &a->in[ATTENTION_K];
    const struct view *dout = &a->in[ATTENTION_GRAD_DOUT], *dk = grad_view(a, ATTENTION_K);
    double dscore = replaced ? 0 : share * (dout_times(a, p, true) - dout_times(a, p, false));
    int64_t width = q->dim[3];

    dscore *= a->node->attr[ATTENTION_SCALE];
    for (int64_t c = 0; c < width; c++) {
        int64_t at_q = packed(q, p->i, part_of(a, ATTENTION_Q_PART), p->h, c);
        int64_t at_k = packed(k, p->j, part_of(a, ATTENTION_K_PART), p->g, c);
        int64_t at_v = packed(&a->in[ATTENTION_V], p->j, part_of(a, ATTENTION_V_PART), p->g, c);
        add_to(grad_view(a, ATTENTION_V), at_v,
               share * ref_load(dout, (p->i * dout->dim[1] + p->h) * width + c));
        if (a->out[ATTENTION_GRAD_DQ].data)
            add_to(&a->out[ATTENTION_GRAD_DQ], at_q, dscore * ref_load(k, at_k));
        add_to(dk, at_k, dscore * ref_load(q, at_q));
    }
}

static void blank_row_grad(const struct kernel_args *a, struct pair p, struct blank b)
{
    bool replaced;

    for (p.h = 0; p.h < a->in[ATTENTION_Q].dim[2]; p.h++) {
        p.g = kv_head(a, p.h);
        for (p.j = p.kv_first; p.g >= 0 && p.j < p.kv_first + p.kv_count; p.j++)
            if (masks_of(a, &p, &replaced) == b.masks)
                blank_pair_grad(a, &p, b.share, replaced);
    }
}

void ref_attention_blank_grad(const struct kernel_args *a)
{
    each_blank(a, blank_row_grad);
}

void ref_attention_grad(const struct kernel_args *a)
{
    const int32_t *q_offsets = a->in[ATTENTION_Q_OFFSETS].data,
                  *kv_offsets = a->in[ATTENTION_KV_OFFSETS].data;
    int64_t sequences = sequence_count(a, &a->in[ATTENTION_Q_OFFSETS]);

    for (int j = 0; j < ATTENTION_GRAD_DTABLE; j++) /* parts that nobody makes are zero */
        for (int64_t i = 0; a->out[j].data && i < view_count(&a->out[j]); i++)
            ref_store(&a->out[j], i, 0);
    for (int64_t s = 0; s < sequences; s++) {
        struct pair p = { .kv_first = kv_offsets[s], .kv_count = kv_offsets[s + 1] - kv_offsets[s] };
        for (p.i = q_offsets[s]; a->out[ATTENTION_GRAD_DQ].data && p.i < q_offsets[s + 1]; p.i++) {
            for (p.h = 0; p.h < a->in[ATTENTION_Q].dim[2]; p.h++) {
                p.g = kv_head(a, p.h);
                query_grad(a, p);
            }
        }
        for (p.j = p.kv_first; p.j < p.kv_first + p.kv_count; p.j++)
            for (p.g = 0; p.g < a->in[ATTENTION_K].dim[2]; p.g++)
                key_grad(a, p, q_offsets[s], q_offsets[s + 1]);
    }
    if (a->out[ATTENTION_GRAD_DTABLE].data)
        table_grad(a);
    ref_attention_blank_grad(a);
}
