/* References of head_stats, head_grad and head_loss. logits (R, V) are made one at a time, each as often as
 * it is needed; entries of the vocabulary that are padding are -infinity. */
#include "cpu/ref.h"
#include "ops/ops.h"

struct head_view {
    const struct kernel_args *args;
    const struct view *x, *weight;
    int64_t labelled, width, vocab; /* R, D, V of this rank's share */
    int64_t first, whole;           /* of the vocabulary */
    bool out_first;
};

static struct head_view head_view(const struct kernel_args *a)
{
    const struct view *x = &a->in[HEAD_STATS_X], *weight = &a->in[HEAD_STATS_WEIGHT];
    bool out_first = a->node->attr[HEAD_OUT_FIRST] != 0;
    int v = out_first ? 0 : 1;

    return (struct head_view){ .args = a,
                               .x = x,
                               .weight = weight,
                               .labelled = a->in[HEAD_STATS_LABELS].dim[0],
                               .width = view_row(x),
                               .vocab = weight->dim[v],
                               .first = weight->first[v],
                               .whole = weight->whole[v],
                               .out_first = out_first };
}

static int64_t row_of(const struct head_view *h, int64_t r)
{
    const int32_t *rows = h->args->in[HEAD_STATS_ROWS].data;

    return rows ? rows[r] : r;
}

/* In this share: may be outside of it. */
static int64_t label_of(const struct head_view *h, int64_t r)
{
    return ((const int32_t *)h->args->in[HEAD_STATS_LABELS].data)[r] - h->first;
}

static double weight_at(const struct head_view *h, int64_t v, int64_t d)
{
    return ref_load(h->weight, h->out_first ? v * h->width + d : d * h->vocab + v);
}

static double logit(const struct head_view *h, int64_t r, int64_t v)
{
    double sum = ref_load(&h->args->in[HEAD_STATS_BIAS], v);

    if (h->first + v >= h->whole)
        return -INFINITY;
    for (int64_t d = 0; d < h->width; d++)
        sum += ref_load(h->x, row_of(h, r) * h->width + d) * weight_at(h, v, d);
    return sum;
}

/* log sum exp and maximum of a row's logits, and its label's logit */
struct stats {
    double lse, target, best, mean;
};

static struct stats stats_of(const struct head_view *h, int64_t r)
{
    struct stats s = { .best = -INFINITY };
    double total = 0;

    for (int64_t v = 0; v < h->vocab; v++) {
        double l = logit(h, r, v);
        if (l > s.best) {
            total *= exp(s.best - l);
            s.best = l;
        }
        s.mean += h->first + v < h->whole ? l / (double)h->whole : 0;
        if (l > -INFINITY)
            total += exp(l - s.best);
        else if (isnan(l))
            total = NAN;
        if (v == label_of(h, r))
            s.target = l;
    }
    s.lse = s.best + log(total);
    return s;
}

const char *ref_head_refuses(const struct node *n, const struct machine *m)
{
    (void)m;
    return n->attr[HEAD_KEPT] > 0 ? "keeps logits in an order of a kernel's own" : NULL;
}

void ref_head_stats(const struct kernel_args *a)
{
    struct head_view h = head_view(a);

    for (int64_t r = 0; r < h.labelled; r++) {
        struct stats s = stats_of(&h, r);
        ref_put(a, HEAD_STATS_LSE, r, s.lse);
        ref_put(a, HEAD_STATS_TARGET, r, s.target);
        ref_put(a, HEAD_STATS_BEST, r, s.best);
        ref_put(a, HEAD_STATS_MEAN, r, s.mean);
    }
}

/* per labelled row: inputs lse, dlse, dtarget, dmean; dlogits of one vocabulary entry; dx (R, D) */
struct row_grads {
    double *lse, *dlse, *dtarget, *dmean, *dlogit, *dx;
};

static struct row_grads row_grads(const struct head_view *h)
{
    double *p = h->args->workspace;
    int64_t n = h->labelled;

    return (struct row_grads){ p, p + n, p + 2 * n, p + 3 * n, p + 4 * n, p + 5 * n };
}

int64_t ref_head_workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    int64_t width = tensor_local_dim(n->in[HEAD_STATS_X], 1, mesh);

    return tensor_local_dim(n->in[HEAD_STATS_LABELS], 0, mesh) * (5 + width) * (int64_t)sizeof(double);
}

static void put_optional(const struct kernel_args *a, int output, int64_t i, double x)
{
    if (output < a->node->nout)
        ref_put(a, output, i, x);
}

/* dx, dweight, dbias are outputs dx, dx + 1, dx + 2 of the node. */
static void gradients(const struct head_view *h, const struct row_grads *g, int dx)
{
    const struct kernel_args *a = h->args;

    for (int64_t i = 0; i < h->labelled * h->width; i++)
        g->dx[i] = 0;
    for (int64_t v = 0; v < h->vocab; v++) {
        double bias = 0;
        for (int64_t r = 0; r < h->labelled; r++) {
            g->dlogit[r] = exp(logit(h, r, v) - g->lse[r]) * g->dlse[r];
            g->dlogit[r] += v == label_of(h, r) ? g->dtarget[r] : 0;
            g->dlogit[r] += h->first + v < h->whole ? g->dmean[r] / (double)h->whole : 0;
            bias += g->dlogit[r];
        }
        put_optional(a, dx + 2, v, bias);
        for (int64_t d = 0; d < h->width; d++) {
            double sum = 0;
            for (int64_t r = 0; r < h->labelled; r++) {
                sum += g->dlogit[r] * ref_load(h->x, row_of(h, r) * h->width + d);
                g->dx[r * h->width + d] += g->dlogit[r] * weight_at(h, v, d);
            }
            put_optional(a, dx + 1, h->out_first ? v * h->width + d : d * h->vocab + v, sum);
        }
    }
    if (!a->out[dx].data)
        return;
    for (int64_t i = 0; i < view_count(h->x) && !a->add[dx]; i++)
        ref_store(&a->out[dx], i, 0);
    for (int64_t r = 0; r < h->labelled; r++) {
        for (int64_t d = 0; d < h->width; d++) {
            int64_t i = row_of(h, r) * h->width + d;
            ref_store(&a->out[dx], i, ref_load(&a->out[dx], i) + g->dx[r * h->width + d]);
        }
    }
}

void ref_head_grad(const struct kernel_args *a)
{
    struct head_view h = head_view(a);
    struct row_grads g = row_grads(&h);

    for (int64_t r = 0; r < h.labelled; r++) {
        g.lse[r] = ref_load(&a->in[HEAD_GRAD_LSE], r);
        g.dlse[r] = ref_load(&a->in[HEAD_GRAD_DLSE], r);
        g.dtarget[r] = ref_load(&a->in[HEAD_GRAD_DTARGET], r);
        g.dmean[r] = ref_load(&a->in[HEAD_GRAD_DMEAN], r);
    }
    gradients(&h, &g, HEAD_GRAD_DX);
}

void ref_head_loss(const struct kernel_args *a)
{
    struct head_view h = head_view(a);
    struct row_grads g = row_grads(&h);
    double loss = 0;

    for (int64_t r = 0; r < h.labelled; r++) {
        struct stats s = stats_of(&h, r);
        loss += s.lse - s.target;
        g.lse[r] = s.lse;
        g.dlse[r] = 1;
        g.dtarget[r] = -1;
        g.dmean[r] = 0;
    }
    ref_put(a, HEAD_LOSS_LOSS, 0, loss);
    if (a->node->nout > HEAD_LOSS_DX)
        gradients(&h, &g, HEAD_LOSS_DX);
}
