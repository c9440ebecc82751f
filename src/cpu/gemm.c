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
 * the vocabulary's weight, is read while other parts of it are multiplied, and takes no memory.
 * A's copy keeps A's order, rows or columns, so packing it costs little more than reading it. */
#include "cpu/gemm.h"

#include "base/parallel.h"
#include "cpu/activate.h"
#include "cpu/pack.h"

struct range {
    int64_t first, count;
};

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

/* ---- The epilogue of a piece of C that has just been made ---- */

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

static void finish(const struct gemm *g, const struct micro *t, int64_t row, int64_t column)
{
    for (int64_t i = 0; i < t->rows; i++) {
        for (int64_t j = 0; j < t->columns; j += LANES) {
            int64_t n = least(t->columns - j, LANES), at = (row + i) * g->c_step + column + j;
            vec c = finish_vec(g->after, vec_load_upto(g->c + at, n), at, column + j, n);
            vec_store_upto(g->c + at, c, n);
        }
    }
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

/* All of the tile for one sum along k. */
static void multiply(const struct block *b, const struct tile *t, struct range k, const float *a,
                     struct ahead *ahead)
{
    const struct gemm *g = b->g;
    bool finished = b->last && k.first + k.count == b->depth.count && g->after;
    struct micro m = { .k = k.count, .c_step = g->c_step, .ahead = ahead };

    m.add = g->add || b->depth.first + k.first > 0;
    for (int64_t j = 0; j < t->columns.count; j += MICRO_COLUMNS) {
        int64_t column = b->columns.first + t->columns.first + j;
        m.columns = least(t->columns.count - j, MICRO_COLUMNS);
        m.b = b->b + (t->columns.first + j) * b->depth.count + k.first * MICRO_COLUMNS;
        for (int64_t i = 0; i < t->rows.count; i += MICRO_ROWS) {
            int64_t row = b->rows.first + t->rows.first + i;
            m.rows = least(t->rows.count - i, MICRO_ROWS);
            m.a = a + i * GEMM_BLOCK;
            m.c = g->c + row * g->c_step + column;
            m.next_c = i + MICRO_ROWS < t->rows.count ? m.c + MICRO_ROWS * g->c_step
                                                      : m.c + MICRO_COLUMNS - i * g->c_step;
            if (g->a_turned)
                micro_turned(&m);
            else
                micro_straight(&m);
            if (finished)
                finish(g, &m, row, column);
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
    return g->n <= GEMM_COLUMNS / 2 || (g->n <= GEMM_COLUMNS && g->m >= ENOUGH_TILES * GROUP_ROWS);
}

static void run_rows(struct block *b)
{
    b->row_tiles = ceil_div(b->rows.count, GROUP_ROWS);
    b->tile_columns = choose_tile_columns(b);
    if (!b->narrow)
        parallel_for(b->row_tiles, pack_a, b);
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

/* ---- Few rows: B is read once, and used where it lies or from a copy of one strip ---- */

enum { FEW_ROWS = 8, FEW_COLUMNS = 128 };

/* sum (rows, columns) += A (rows, k) B (k, columns), k running within one sum. */
static void few_straight(const struct gemm *g, struct range k, struct range columns, float *sum)
{
    enum { AT_ONCE = 4, AHEAD = 12 };

    for (int64_t i = k.first; i < k.first + k.count; i += AT_ONCE) {
        int64_t count = least(k.first + k.count - i, AT_ONCE);
        const float *b = g->b + i * g->b_step + columns.first;
        for (int64_t j = 0; j < columns.count; j += LANES) {
            int64_t n = columns.count - j;
            vec w[AT_ONCE];
            for (int64_t q = 0; q < AT_ONCE; q++) {
                __builtin_prefetch(b + (q + AHEAD) * g->b_step + j);
                w[q] = q < count ? vec_load_upto(b + q * g->b_step + j, n) : vec_zero();
            }
            for (int64_t r = 0; r < g->m; r++) {
                const float *a = g->a + r * g->a_step + i;
                vec s = vec_load(sum + r * FEW_COLUMNS + j);
                for (int64_t q = 0; q < count; q++)
                    s = vec_fma(vec_set(a[q]), w[q], s);
                vec_store(sum + r * FEW_COLUMNS + j, s);
            }
        }
    }
}

/* C (+)= sum */
static void few_put(const struct gemm *g, struct range columns, bool add, const float *sum)
{
    for (int64_t r = 0; r < g->m; r++) {
        for (int64_t j = 0; j < columns.count; j += LANES) {
            float *c = g->c + r * g->c_step + columns.first + j;
            int64_t n = columns.count - j;
            vec s = vec_load(sum + r * FEW_COLUMNS + j);
            vec_store_upto(c, add ? vec_load_upto(c, n) + s : s, n);
        }
    }
}

static void few_tile_straight(void *context, int64_t tile)
{
    const struct gemm *g = context;
    int64_t first = tile * FEW_COLUMNS, part = equal_part(g->k, GEMM_BLOCK, 8);
    struct range columns = { first, least(g->n - first, FEW_COLUMNS) }, k = { 0, 0 };
    _Alignas(64) float sum[FEW_ROWS * FEW_COLUMNS];

    do {
        k.count = least(g->k - k.first, part);
        memset(sum, 0, (size_t)g->m * FEW_COLUMNS * sizeof(float));
        few_straight(g, k, columns, sum);
        few_put(g, columns, g->add || k.first > 0, sum);
        k.first += k.count;
    } while (k.first < g->k);
    if (g->after) {
        struct micro piece = { .rows = g->m, .columns = columns.count };
        finish(g, &piece, 0, first);
    }
}

static void few_tile_turned(void *context, int64_t tile)
{
    const struct gemm *g = context;
    int64_t first = tile * MICRO_COLUMNS, part = equal_part(g->k, GEMM_BLOCK, 8), k = 0;
    _Alignas(64) float a[FEW_ROWS * GEMM_BLOCK], b[GEMM_BLOCK * MICRO_COLUMNS];
    struct ahead none = { 0 };
    struct micro m = { .a = a, .b = b, .c_step = g->c_step, .ahead = &none };

    m.columns = least(g->n - first, MICRO_COLUMNS);
    do {
        m.k = least(g->k - k, part);
        pack_turned(g->b + first * g->b_step + k, g->b_step, m.columns, m.k, b);
        m.add = g->add || k > 0;
        for (int64_t i = 0; i < g->m; i += MICRO_ROWS) {
            m.rows = least(g->m - i, MICRO_ROWS);
            m.next_c = m.c = g->c + i * g->c_step + first;
            copy_straight(g->a + i * g->a_step + k, g->a_step, m.rows, m.k, a);
            micro_straight(&m);
        }
        k += m.k;
    } while (k < g->k);
    m.rows = g->m;
    if (g->after)
        finish(g, &m, 0, first);
}

void ISA(gemm)(const struct gemm *g)
{
    if (g->m > FEW_ROWS || g->a_turned || g->b_sums)
        run_blocks(g);
    else if (g->b_turned)
        parallel_for(ceil_div(g->n, MICRO_COLUMNS), few_tile_turned, (void *)(uintptr_t)g);
    else
        parallel_for(ceil_div(g->n, FEW_COLUMNS), few_tile_straight, (void *)(uintptr_t)g);
}
