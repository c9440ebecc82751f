/* dropout -- which entries are kept is made anew from (seed, step, stream, place, feature) by vectors of the
 * random generator; nothing is read but x. */
#include <string.h>

#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/philox.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "ops/ops.h"

enum { TILE = 1 << 14 }; /* entries of a tile, about */

struct work {
    const struct view *x;
    float *y;
    const int64_t *place;
    struct keep keep;
    uint64_t step;
    int64_t width, run; /* entries of a row; of a stretch of it that is contiguous in the whole tensor */
    int64_t tile_rows;
};

/* Entries first .. first+count-1 of a row in the whole tensor. */
static void drop_run(const struct work *w, uint64_t hi, uint64_t first, const float *x, float *y,
                     int64_t count)
{
    float factor[4 * LANES];
    int64_t skip = (int64_t)(first % 4), done = 0;

    for (uint64_t quad = first / 4; done < count; quad += LANES) {
        int64_t n = 4 * LANES - skip < count - done ? 4 * LANES - skip : count - done;
        keep_row(&w->keep, hi, quad, factor);
        int64_t i = 0;
        for (; i + LANES <= n; i += LANES)
            vec_store(y + done + i, vec_load(x + done + i) * vec_load(factor + skip + i));
        if (i < n) {
            vec f = vec_load_part(factor + skip + i, n - i);
            vec_store_part(y + done + i, vec_load_part(x + done + i, n - i) * f, n - i);
        }
        done += n;
        skip = 0;
    }
}

static void drop_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    const float *x = w->x->data;
    int64_t last = (tile + 1) * w->tile_rows;

    if (last > view_rows(w->x))
        last = view_rows(w->x);
    for (int64_t n = tile * w->tile_rows; n < last; n++) {
        uint64_t hi = w->step << 40 | (uint64_t)w->place[n];
        for (int64_t f = 0; f < w->width; f += w->run)
            drop_run(w, hi, (uint64_t)view_whole_feature(w->x, f), x + n * w->width + f,
                     w->y + n * w->width + f, w->run);
    }
}

/* Trailing dims that are whole, and the one dim before them. */
static int64_t contiguous_run(const struct view *v)
{
    int64_t run = 1;

    for (int d = v->ndim - 1; d > 0; d--) {
        run *= v->dim[d];
        if (v->dim[d] != v->whole[d])
            break;
    }
    return run;
}

static void drop(const struct kernel_args *a)
{
    const struct view *x = &a->in[DROPOUT_X];
    struct rng_key key = { .seed = a->seed, .stream = a->node->stream };
    struct work w = { .x = x,
                      .y = a->out[0].data,
                      .place = a->in[DROPOUT_PLACE].data,
                      .keep = keep_init(key, a->node->attr[DROPOUT_P]),
                      .step = a->step,
                      .width = view_row(x),
                      .run = contiguous_run(x) };

    if (w.width == 0)
        return;
    if (!x->data) { /* a share that counts as zeros */
        memset(w.y, 0, (size_t)(view_rows(x) * w.width) * sizeof(float));
        return;
    }
    w.tile_rows = ceil_div(TILE, w.width);
    parallel_for(ceil_div(view_rows(x), w.tile_rows), drop_tile, &w);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    if (!keep_fits(n->attr[DROPOUT_P]))
        return "p is too near to 1";
    return refuse_all_but_plain_f32(n, 1);
}

const struct kernel ISA(cpu_dropout)[] = {
    { "vector " ISA_TEXT, .refuses = refuses, .run = drop },
    { "reference", .run = ref_dropout },
    { 0 },
};
