/* factored -- what the kernels of adafactor know of a parameter and its moments: as a matrix of rows and
 * columns, the first `split` dims and the rest. */
#ifndef PLAIT_CPU_FACTORED_H
#define PLAIT_CPU_FACTORED_H

#include "cpu/ref.h"
#include "ops/ops.h"

/* Entry i lies past the end of the whole tensor. */
static inline bool view_is_padding(const struct view *v, int64_t i)
{
    for (int d = v->ndim - 1; d >= 0; d--) {
        if (v->first[d] + i % v->dim[d] >= v->whole[d])
            return true;
        i /= v->dim[d];
    }
    return false;
}

static inline double view_whole_count(const struct view *v)
{
    double n = 1;
    for (int d = 0; d < v->ndim; d++)
        n *= (double)v->whole[d];
    return n;
}

/* Product of dims from .. to-1 of this share. */
static inline int64_t view_product(const struct view *v, int from, int to)
{
    int64_t n = 1;
    for (int d = from; d < to; d++)
        n *= v->dim[d];
    return n;
}

/* Of the entries that are no padding. */
struct entries {
    double sum, count;
};

static inline struct entries view_entries(const struct view *v)
{
    struct entries e = { 0 };
    for (int64_t i = 0; i < view_count(v); i++) {
        if (view_is_padding(v, i))
            continue;
        e.sum += ref_load(v, i);
        e.count++;
    }
    return e;
}

/* Any mean does for norms, which are freed of it: that of this share, 0 where it is all padding. */
static inline double factored_share_mean(const struct kernel_args *a)
{
    struct entries rows = view_entries(&a->in[ADAFACTOR_V]);
    return rows.count > 0 ? rows.sum / rows.count : 0;
}

/* This share's part of the sum of the moments of rows, which every share of the columns has. */
static inline double factored_moment(const struct kernel_args *a)
{
    const struct view *col = &a->in[ADAFACTOR_COL];
    return view_entries(&a->in[ADAFACTOR_V]).sum * view_entries(col).count / view_whole_count(col);
}

/* Of all moments of rows. */
static inline double factored_mean(const struct kernel_args *a)
{
    return ref_load(&a->in[ADAFACTOR_NORM], ADAFACTOR_NORM_MOMENT) / view_whole_count(&a->in[ADAFACTOR_V]);
}

/* What a moment multiplies its row or column with. */
static inline double factored_factor(const struct view *v, int64_t i, double mean)
{
    return view_is_padding(v, i) ? 0 : 1 / sqrt(ref_load(v, i) / mean);
}

/* A moment's next value, from the mean square that it follows. */
static inline double factored_next(const struct kernel_args *a, double old, double mean_square)
{
    const double *attr = a->node->attr;
    double beta = 1 - pow(ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_STEP), -attr[ADAFACTOR_POWER]);

    return beta * old + (1 - beta) * (mean_square + attr[ADAFACTOR_EPS]);
}

/* The moments of rows or columns: in place, from `sums` of the gradient's squares over `count` entries. */
static inline void factored_update(const struct kernel_args *a, int moment, int sums, double count)
{
    const struct view *v = &a->in[moment];
    double scale = ref_load(&a->in[ADAFACTOR_CONTROL], CONTROL_SCALE);

    for (int64_t i = 0; i < view_count(v); i++)
        if (!view_is_padding(v, i))
            ref_store(v, i,
                      factored_next(a, ref_load(v, i), ref_load(&a->in[sums], i) * scale * scale / count));
}

/* Both; each row's sum goes over all columns of the whole. */
static inline void factored_update_both(const struct kernel_args *a)
{
    const struct view *row = &a->in[ADAFACTOR_V], *col = &a->in[ADAFACTOR_COL];

    factored_update(a, ADAFACTOR_V, ADAFACTOR_ROWS, view_whole_count(col));
    factored_update(a, ADAFACTOR_COL, ADAFACTOR_COLS, view_whole_count(row));
}

/* What the last node makes of the norms: the rate, and what u is multiplied with. */
struct factored_step {
    double shrink, rate;
};

static inline struct factored_step factored_step(const struct kernel_args *a)
{
    const struct view *norms = &a->in[ADAFACTOR_NORM], *control = &a->in[ADAFACTOR_CONTROL];
    const double *attr = a->node->attr;
    double count = view_whole_count(&a->in[ADAFACTOR_PARAM]);
    double mean = a->in[ADAFACTOR_COL].data ? factored_mean(a) : 1;
    double rms = sqrt(ref_load(norms, ADAFACTOR_NORM_STEP) * mean / count) / attr[ADAFACTOR_CLIP];
    double scale = sqrt(ref_load(norms, ADAFACTOR_NORM_PARAM) / count);
    double rate = ref_load(control, CONTROL_LEARNING_RATE);

    if (attr[ADAFACTOR_RELATIVE] != 0)
        rate *= scale > attr[ADAFACTOR_LEAST_SCALE] ? scale : attr[ADAFACTOR_LEAST_SCALE];
    return (struct factored_step){ .shrink = 1 - rate * attr[ADAFACTOR_DECAY],
                                   .rate = rate / (rms > 1 ? rms : 1) };
}

#endif
