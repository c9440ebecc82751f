/* Shares of parameters as boxes of the tensor in the file: against the plain copy between share and whole. */
#include "ckpt/share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/parallel.h"

struct shape {
    int ndim, file_ndim;
    int64_t dims[MAX_DIMS], file_dims[MAX_DIMS];
};

static const struct shape shapes[] = {
    { 4, 2, { 5, 3, 4, 2 }, { 5, 24 } },   /* c_attn.weight: (D, 3D) is (D, 3, H, K) */
    { 3, 1, { 3, 5, 2 }, { 30 } },         /* its bias */
    { 3, 2, { 4, 3, 7 }, { 12, 7 } },      /* c_proj.weight: (D, D) is (H, K, D) */
    { 2, 2, { 11, 3 }, { 11, 3 } },        /* a table */
    { 1, 1, { 7 }, { 7 } },                /* a norm */
    { 4, 2, { 5, 3, 1, 4 }, { 5, 12 } },   /* one head */
    { 4, 2, { 5, 3, 4, 1 }, { 5, 12 } },   /* heads of width 1 */
    { 4, 3, { 2, 1, 3, 2 }, { 2, 1, 6 } }, /* a file dim of one entry */
    { 0, 0, { 0 }, { 0 } },                /* a scalar */
};

struct copying {
    const struct shape *shape;
    const float *whole;
    float *share;
    int64_t copied;
};

/* Element by element. */
static int copy_box(void *context, const struct box *box, int64_t offset, const int64_t *stride)
{
    struct copying *c = context;
    int64_t count = box_count(box);

    assert_int_equal(box->ndim, c->shape->file_ndim);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, from = 0, to = offset, unit = 1;
        for (int d = box->ndim - 1; d >= 0; d--) {
            int64_t index = rest % box->size[d];
            rest /= box->size[d];
            assert_true(box->start[d] + index < c->shape->file_dims[d]);
            from += (box->start[d] + index) * unit;
            unit *= c->shape->file_dims[d];
            to += index * stride[d];
        }
        c->share[to] = c->whole[from];
    }
    c->copied += count;
    return 0;
}

static void describe(struct stored *s, const struct shape *shape)
{
    *s = (struct stored){ .name = (char *)"p", .ndim = shape->ndim, .has_param = true };
    s->param.file_ndim = shape->file_ndim;
    memcpy(s->dims, shape->dims, sizeof(s->dims));
    memcpy(s->local, shape->dims, sizeof(s->local));
    memcpy(s->param.file_dims, shape->file_dims, sizeof(shape->file_dims));
}

static int64_t check(struct stored *s, const struct shape *shape)
{
    int64_t count = 1, local = share_count(s), filled = 0, there = 0;
    struct copying c = { .shape = shape };
    float *whole, *back;

    for (int d = 0; d < s->ndim; d++)
        count *= s->dims[d];
    whole = mem_alloc_array((size_t)count + 1, sizeof(float));
    back = mem_alloc_array((size_t)count + 1, sizeof(float));
    c.share = mem_alloc_array((size_t)local + 1, sizeof(float));
    c.whole = whole;
    for (int64_t i = 0; i < count; i++)
        whole[i] = (float)(i + 1);
    assert_int_equal(share_each_box(s, copy_box, &c), 0);
    s->data = c.share;
    stored_to_whole(s, back);
    for (int64_t i = 0; i < local; i++)
        filled += c.share[i] != 0;
    for (int64_t i = 0; i < count; i++) {
        there += back[i] != 0;
        assert_true(back[i] == 0 || back[i] == whole[i]);
    }
    assert_true(filled == c.copied && there == c.copied);
    mem_free(whole);
    mem_free(back);
    mem_free(c.share);
    return c.copied;
}

static int64_t total(const struct shape *shape)
{
    int64_t count = 1;

    for (int d = 0; d < shape->ndim; d++)
        count *= shape->dims[d];
    return count;
}

static void whole_shares(void **state)
{
    struct stored s;

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        describe(&s, &shapes[i]);
        assert_true(share_is_whole(&s));
        assert_int_equal(check(&s, &shapes[i]), total(&shapes[i]));
    }
}

/* Cut along dim a, and along dim b too where that is another. */
static void check_cut(const struct shape *shape, int a, int b, int64_t ranks)
{
    int64_t copied = 0, cells = a == b ? ranks : ranks * ranks;
    struct stored s;

    for (int64_t rank = 0; rank < cells; rank++) {
        int64_t part;
        describe(&s, shape);
        s.local[b] = ceil_div(s.dims[b], ranks);
        s.first[b] = rank / ranks * s.local[b];
        s.local[a] = ceil_div(s.dims[a], ranks);
        s.first[a] = rank % ranks * s.local[a];
        part = check(&s, shape);
        assert_true(share_is_whole(&s) == (part == total(shape) && part == share_count(&s)));
        copied += part;
    }
    assert_int_equal(copied, total(shape));
}

/* Over 2, 3 and 5 ranks: sizes that do not divide leave padding. */
static void cut_shares(void **state)
{
    static const int64_t ranks[] = { 2, 3, 5 };

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (int a = 0; a < shapes[i].ndim; a++)
            for (int b = a; b < shapes[i].ndim; b++)
                for (size_t r = 0; r < 3; r++)
                    check_cut(&shapes[i], a, b, ranks[r]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(whole_shares), cmocka_unit_test(cut_shares) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
