/* cast: fp32 to bfloat16 and back. Loops over integers that the compiler turns into vectors of this file's
 * instruction set. */
#include <string.h>

#include "base/parallel.h"
#include "cpu/isa.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "ops/ops.h"

enum { TILE = 1 << 14 }; /* entries */

struct work {
    const void *x;
    void *y;
    int64_t count;
};

static int64_t tile_count(const struct work *w, int64_t tile)
{
    int64_t rest = w->count - tile * TILE;
    return rest < TILE ? rest : TILE;
}

/* To the nearest, ties to even: half of the last place that stays is added, one less where that place is 0. A
 * NaN keeps its upper bits and becomes a quiet one. */
static void narrow_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    const uint32_t *x = (const uint32_t *)w->x + tile * TILE;
    uint16_t *y = (uint16_t *)w->y + tile * TILE;

    for (int64_t i = 0, n = tile_count(w, tile); i < n; i++) {
        uint32_t bits = x[i], rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
        y[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
    }
}

static void widen_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    const uint16_t *x = (const uint16_t *)w->x + tile * TILE;
    uint32_t *y = (uint32_t *)w->y + tile * TILE;

    for (int64_t i = 0, n = tile_count(w, tile); i < n; i++)
        y[i] = (uint32_t)x[i] << 16;
}

static void run(const struct kernel_args *a)
{
    const struct view *x = &a->in[0], *y = &a->out[0];
    struct work w = { .x = x->data, .y = y->data, .count = view_count(y) };

    if (!x->data)
        memset(y->data, 0, (size_t)w.count * dtype_bytes(y->dtype));
    else
        parallel_for(ceil_div(w.count, TILE), y->dtype == DT_BF16 ? narrow_tile : widen_tile, &w);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    (void)m;
    if (n->in[0]->dtype == n->out[0]->dtype)
        return "nothing to cast";
    return refuse_sums(n);
}

const struct kernel ISA(cpu_cast)[] = {
    { "bits " ISA_TEXT, .refuses = refuses, .run = run },
    { "reference", .run = ref_cast },
    { 0 },
};
