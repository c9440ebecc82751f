/* finish -- the epilogue of gemm, on a piece of C that has just been made. */
#ifndef PLAIT_CPU_FINISH_H
#define PLAIT_CPU_FINISH_H

#include "cpu/activate.h"
#include "cpu/gemm.h"

struct range {
    int64_t first, count;
};

static inline vec finish_vec(const struct gemm_after *f, vec c, int64_t at, int64_t column, int64_t n)
{
    if (f->bias)
        c += vec_load_upto(f->bias + column, n);
    if (f->pre)
        vec_store_upto(f->pre + at, c, n);
    if (f->grad_at)
        c *= vec_activate_grad(f->act, vec_load_upto(f->grad_at + at, n));
    else
        c = vec_activate(f->act, c);
    if (f->residual)
        c += vec_load_upto(f->residual + at, n);
    return c;
}

/* Rows and columns of C from (row, column) on. */
static void finish(const struct gemm *g, struct range rows, struct range columns)
{
    for (int64_t i = rows.first; i < rows.first + rows.count; i++) {
        for (int64_t j = 0; j < columns.count; j += LANES) {
            int64_t n = columns.count - j, column = columns.first + j, at = i * g->c_step + column;
            vec c = finish_vec(g->after, vec_load_upto(g->c + at, n), at, column, n);
            vec_store_upto(g->c + at, c, n);
        }
    }
}

#endif
