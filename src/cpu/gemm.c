/* gemm in the manner of Goto and van de Geijn (Anatomy of High-Performance Matrix Multiplication, ACM TOMS
 * 2008) and BLIS. Blocks bound the memory for packed parts:
 *
 *     for each block of columns, for each block of k:
 *         in parallel, pack that part of B into strips                      (workspace)
 *         for each block of rows:
 *             in parallel, pack that part of A into panels                  (workspace)
 *             in parallel, for each tile of GROUP_ROWS rows x some strips:
 *                 for each sum of at most GEMM_BLOCK along k:
 *                     for each strip, for each panel: micro.h, then the epilogue
 *
 * Where B is narrow, a tile is as wide as C, and copies its part of A itself (stack): then A, which may be
 * the vocabulary's weight, is read while other parts of it are multiplied, and takes no memory. */
#include "cpu/gemm.h"

#include "base/parallel.h"
#include "cpu/few.h"
#include "cpu/finish.h"
#include "cpu/pack.h"

struct block { /* what one pass over the tiles works on */
    const struct gemm *g;
    struct range rows, columns, depth; /* of C, C and k */
    int64_t sum;                       /* length of a running sum along k */
    bool narrow, last;                 /* A is not packed; last of k */
    int64_t row_tiles, tile_columns;
    float *a, *b; /* packed: groups of panels, sums along k outermost; strips */
};

struct tile {
    struct range rows, columns; /* within the block's */
};

static int64_t rounded_up(int64_t n, int64_t unit)
{
    return ceil_div(n, unit) * unit;
}

/* n in equal parts of at most `most`, each a multiple of unit (but the last) */
static int64_t equal_part(int64_t n, int64_t most, int64_t unit)
{
    return n > 0 ? rounded_up(ceil_div(n, ceil_div(n, most)), unit) : unit;
}

/* ---- Packing ---- */

static void pack_b(void *context, int64_t tile)
{
    const struct block *b = context;
    const struct gemm *g = b->g;
    int64_t first = tile * PACK_STRIPS * MICRO_COLUMNS, k = b->depth.count;
    int64_t columns = least(b->columns.count - first, PACK_STRIPS * MICRO_COLUMNS);
    float *sums = g->b_sums ? g->b_sums + b->columns.first + first : NULL;

    if (!g->b_turned) {
        if (sums && b->depth.first == 0 && !g->sums_add)
            memset(sums, 0, (size_t)columns * sizeof(float));
        pack_straight(g->b + b->depth.first * g->b_step + b->columns.first + first, g->b_step, columns, k,
                      b->b + first * k, sums);
        return;
    }
    for (int64_t j = first; j < first + columns; j += MICRO_COLUMNS)
        pack_turned(g->b + (b->columns.first + j) * g->b_step + b->depth.first, g->b_step,
                    least(b->columns.count - j, MICRO_COLUMNS), k, b->b + j * k);
}

/* Rows (within the block) of A, `k` of the sum that starts at k_first of the block. */
static void copy_a(const struct block *b, struct range rows, struct range k, bool with_sums, float *to)
{
    const struct gemm *g = b->g;
    int64_t row = b->rows.first + rows.first, from = b->depth.first + k.first;
    float *sums = with_sums && g->a_sums && b->columns.first == 0 ? g->a_sums + row : NULL;

    if (g->a_turned) {
        if (sums && from == 0 && !g->sums_add)
            memset(sums, 0, (size_t)rows.count * sizeof(float));
        copy_turned(g->a + from * g->a_step + row, g->a_step, rows.count, k.count, to, sums);
        return;
    }
    for (int64_t i = 0; i < rows.count; i += MICRO_ROWS)
        copy_straight(g->a + (row + i) * g->a_step + from, g->a_step, least(rows.count - i, MICRO_ROWS),
                      k.count, to + i * GEMM_BLOCK);
}

static struct range tile_rows(const struct block *b, int64_t row_tile)
{
    int64_t first = row_tile * GROUP_ROWS;

    return (struct range){ first, least(b->rows.count - first, GROUP_ROWS) };
}

/* The group of panels for a row tile and the sum that starts at k of the block. */
static float *packed_group(const struct block *b, int64_t row_tile, int64_t k)
{
    return b->a + (k / b->sum * b->row_tiles + row_tile) * GROUP_FLOATS;
}

static void pack_a(void *context, int64_t row_tile)
{
    const struct block *b = context;

    int64_t k = 0;

    do {
        struct range part = { k, least(b->depth.count - k, b->sum) };
        copy_a(b, tile_rows(b, row_tile), part, true, packed_group(b, row_tile, k));
        k += b->sum;
    } while (k < b->depth.count);
}

/* ---- A tile of C ---- */

/* What will be read of A after the sum that starts at k: the next sum's part, or the next tile's, which is
 * probably as many tiles on as there are threads. */
static struct ahead next_of_a(const struct block *b, int64_t row_tile, int64_t k)
{
    const struct gemm *g = b->g;
    struct range rows;
    const float *a;

    k += b->sum;
    if (k >= b->depth.count) {
        k = 0;
        row_tile = (row_tile + parallel_threads()) % b->row_tiles;
    }
    if (!b->narrow)
        return (struct ahead){ packed_group(b, row_tile, k), 1, GROUP_FLOATS, 0, GROUP_FLOATS };
    rows = tile_rows(b, row_tile);
    rows.first += b->rows.first;
    a = g->a + (g->a_turned ? (b->depth.first + k) * g->a_step + rows.first
                            : rows.first * g->a_step + b->depth.first + k);
    k = least(b->depth.count - k, b->sum);
    return g->a_turned ? (struct ahead){ a, k, rows.count, g->a_step, rows.count }
                       : (struct ahead){ a, rows.count, k, g->a_step, k };
}

/* The strip of B to the right of m's. */
static struct ahead next_strip(const struct block *b, const struct micro *m)
{
    int64_t floats = m->k * MICRO_COLUMNS;

    return (struct ahead){ m->b + b->depth.count * MICRO_COLUMNS, 1, floats, 0, floats };
}

/* All of the tile for one sum along k. */
static void multiply(const struct block *b, const struct tile *t, struct range k, const float *a,
                     struct ahead *ahead)
{
    const struct gemm *g = b->g;
    bool finished = b->last && k.first + k.count == b->depth.count && g->after;
    struct ahead strip;
    struct micro m = { .k = k.count, .c_step = g->c_step, .next_a = ahead, .next_b = &strip };

    m.add = g->add || b->depth.first + k.first > 0;
    for (int64_t j = 0; j < t->columns.count; j += MICRO_COLUMNS) {
        int64_t column = b->columns.first + t->columns.first + j;
        m.columns = least(t->columns.count - j, MICRO_COLUMNS);
        m.b = b->b + (t->columns.first + j) * b->depth.count + k.first * MICRO_COLUMNS;
        strip = next_strip(b, &m);
        for (int64_t i = 0; i < t->rows.count; i += MICRO_ROWS) {
            int64_t row = b->rows.first + t->rows.first + i;
            m.rows = least(t->rows.count - i, MICRO_ROWS);
            m.a = a + i / MICRO_ROWS * PANEL_FLOATS;
            m.c = g->c + row * g->c_step + column;
            m.next_c = i + MICRO_ROWS < t->rows.count ? m.c + MICRO_ROWS * g->c_step
                                                      : m.c + MICRO_COLUMNS - i * g->c_step;
            micro(&m);
            if (finished)
                finish(g, (struct range){ row, m.rows }, (struct range){ column, m.columns });
        }
    }
}

static void multiply_tile(void *context, int64_t tile)
{
    const struct block *b = context;
    int64_t row_tile = tile % b->row_tiles, column = tile / b->row_tiles * b->tile_columns;
    _Alignas(64) float copy[GROUP_FLOATS];
    struct tile t = { .rows = tile_rows(b, row_tile), .columns = { column, 0 } };
    struct range k = { 0, 0 };

    t.columns.count = least(b->columns.count - column, b->tile_columns);
    do {
        struct ahead ahead = next_of_a(b, row_tile, k.first);
        k.count = least(b->depth.count - k.first, b->sum);
        if (b->narrow)
            copy_a(b, t.rows, k, column == 0, copy);
        multiply(b, &t, k, b->narrow ? copy : packed_group(b, row_tile, k.first), &ahead);
        k.first += k.count;
    } while (k.first < b->depth.count);
}

/* ---- Blocks ---- */

/* Few tiles would leave threads idle, narrow ones read A more often. Depends on the shape alone. */
enum { ENOUGH_TILES = 48 };

static int64_t choose_tile_columns(const struct block *b)
{
    enum { MOST = LANES * 16, FEWEST = LANES * 8 };
    int64_t width = b->narrow ? GEMM_COLUMNS : MOST;

    while (width > FEWEST && b->row_tiles * ceil_div(b->columns.count, width) < ENOUGH_TILES)
        width /= 2;
    return width;
}

static bool is_narrow(const struct gemm *g)
{
    return g->n <= GEMM_NARROW || (g->n <= GEMM_COLUMNS && g->m >= ENOUGH_TILES * GROUP_ROWS);
}

static void run_rows(struct block *b)
{
    const struct gemm *g = b->g;

    b->row_tiles = ceil_div(b->rows.count, GROUP_ROWS);
    b->tile_columns = choose_tile_columns(b);
    if (!b->narrow && (b->columns.first == 0 || b->rows.count < g->m || b->depth.count < g->k))
        parallel_for(b->row_tiles, pack_a, b); /* else it is there already */
    parallel_for(b->row_tiles * ceil_div(b->columns.count, b->tile_columns), multiply_tile, b);
}

static void run_depth(struct block *b)
{
    const struct gemm *g = b->g;
    int64_t rows = b->narrow ? g->m : equal_part(g->m, GEMM_ROWS / GROUP_ROWS * GROUP_ROWS, GROUP_ROWS);

    b->last = b->depth.first + b->depth.count == g->k;
    parallel_for(ceil_div(b->columns.count, PACK_STRIPS * MICRO_COLUMNS), pack_b, b);
    for (int64_t i = 0; i < g->m; i += rows) {
        b->rows = (struct range){ i, least(g->m - i, rows) };
        run_rows(b);
    }
}

static void run_blocks(const struct gemm *g)
{
    struct block b = { .g = g, .sum = equal_part(g->k, GEMM_BLOCK, 8), .narrow = is_narrow(g) };
    int64_t columns = equal_part(g->n, GEMM_COLUMNS, MICRO_COLUMNS);
    int64_t deepest = b.narrow ? GEMM_COLUMNS * GEMM_DEPTH / columns : GEMM_DEPTH;
    int64_t depth = equal_part(g->k, deepest / b.sum * b.sum, b.sum);

    b.b = g->workspace;
    b.a = b.b + rounded_up(columns * least(depth, rounded_up(g->k, 8)), 16);
    for (b.columns.first = 0; b.columns.first < g->n; b.columns.first += columns) {
        b.columns.count = least(g->n - b.columns.first, columns);
        b.depth.first = 0;
        do {
            b.depth.count = least(g->k - b.depth.first, depth);
            run_depth(&b);
            b.depth.first += b.depth.count;
        } while (b.depth.first < g->k);
    }
}

static void few_straight_tile(void *context, int64_t tile)
{
    const struct gemm *g = context;

    few_straight(g, tile, equal_part(g->k, GEMM_BLOCK, 8));
}

static void few_turned_tile(void *context, int64_t tile)
{
    few_turned(context, tile);
}

void ISA(gemm)(const struct gemm *g)
{
    void *context = (void *)(uintptr_t)g;

    if (g->m > FEW_ROWS || g->a_turned || g->b_sums)
        run_blocks(g);
    else if (g->b_turned)
        parallel_for(ceil_div(g->n, FEW_DOTS), few_turned_tile, context);
    else
        parallel_for(ceil_div(g->n, FEW_COLUMNS), few_straight_tile, context);
}
