/* Losses of the caller's own: built from exported ops, planned and differentiated like the model's, on one
 * rank and two; what cannot be is refused with a sentence. */
#include "train_run.h"

/* ---- losses of the caller's own ---- */

static struct plait_tensor *usual(void *context, struct plait_builder *b)
{
    (*(int *)context)++;
    return plait_op_head_loss(b, plait_builder_hidden(b));
}

/* The same in other words, and twice half of it. */
static struct plait_tensor *in_other_words(void *context, struct plait_builder *b)
{
    struct plait_tensor *half =
        plait_op_scale(b, plait_op_sum(b, plait_op_token_losses(b, plait_builder_hidden(b))), 0.5);

    (*(int *)context)++;
    assert_non_null(plait_builder_ids(b));
    assert_non_null(plait_builder_labels(b));
    assert_non_null(plait_builder_label_rows(b));
    return plait_op_add(b, half, half);
}

static struct plait_tensor *bounded(void *context, struct plait_builder *b)
{
    struct plait_tensor *losses = plait_op_token_losses(b, plait_builder_hidden(b));

    (*(int *)context)++;
    return plait_op_sum(b, plait_op_activation(b, plait_op_scale(b, losses, 0.5), "tanh"));
}

static struct plait_tensor *through_dropout(void *context, struct plait_builder *b)
{
    (*(int *)context)++;
    return plait_op_head_loss(b, plait_op_dropout(b, plait_builder_hidden(b), 0.5));
}

typedef struct plait_tensor *build_fn(void *context, struct plait_builder *b);

static void train_with(struct run *r, void **state, const char *dir, build_fn *build, int ranks)
{
    const char *layout[] = { "tensor_parallel_size", ranks == 1 ? "1" : "2", NULL };
    int calls = 0;
    struct plait_loss loss = { build, &calls };

    run_open(r, state, dir, "gpt2", layout);
    r->own.loss = &loss;
    must(train(r));
    assert_true(calls > 0);
}

static void own_losses(void **state)
{
    struct run a, b, c, d, e;

    train_with(&a, state, "usual", usual, 1);
    follow(&a, a.golden->loss, a.golden->norm);
    train_with(&b, state, "words", in_other_words, 1);
    follow(&b, b.golden->loss, b.golden->norm);
    train_with(&c, state, "bounded", bounded, 1);
    assert_true(c.loss[0] < 1 && c.loss[0] > 0.9);
    assert_true(c.loss[STEPS - 1] < c.loss[0] - 0.02);
    train_with(&d, state, "ranks", bounded, 2);
    follow(&d, c.loss, c.norm);
    train_with(&e, state, "dropout", through_dropout, 1);
    assert_true(fabs(e.loss[0] - a.loss[0]) > 1e-6 && fabs(e.loss[0] - a.loss[0]) < 0.5);
    run_end(&a);
    run_end(&b);
    run_end(&c);
    run_end(&d);
    run_end(&e);
}

/* ---- misuse ---- */

enum mistake {
    NO_LOSS,
    NO_SCALAR,
    NULL_TENSOR,
    WRONG_SHAPES,
    WRONG_TYPE,
    NO_FUNCTION,
    NOT_FINITE,
    BAD_SHARE,
    IDS_ARE_NO_LOSS,
    SUM_OF_ROWS,
    MISTAKES
};

static struct plait_tensor *mistaken(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_builder_hidden(b), *losses;

    switch (*(enum mistake *)context) {
    case NO_SCALAR: return x;
    case NULL_TENSOR: return plait_op_add(b, x, NULL);
    case WRONG_SHAPES: return plait_op_add(b, x, plait_op_token_losses(b, x));
    case WRONG_TYPE: return plait_op_scale(b, plait_builder_ids(b), 2);
    case NO_FUNCTION: return plait_op_activation(b, x, "sine");
    case NOT_FINITE: return plait_op_scale(b, x, (double)INFINITY);
    case BAD_SHARE: return plait_op_dropout(b, x, 1);
    case IDS_ARE_NO_LOSS: return plait_builder_ids(b);
    case SUM_OF_ROWS: return plait_op_sum(b, x);
    default: break;
    }
    losses = plait_op_activation(b, x, NULL);
    assert_null(losses);
    assert_null(plait_op_head_loss(b, x));
    return NULL;
}

static void losses_that_cannot_be(void **state)
{
    static const char *const words[MISTAKES] = {
        "the name is NULL", "no scalar", "a tensor is NULL", "differ in shape", "floating-point", "sine",
        "finite",           "[0, 1)",    "no scalar",        "(R) floats",
    };
    struct run r;

    struct plait_loss loss = { .build = mistaken };

    run_begin(&r, state, "run");
    r.own.loss = &loss;
    set(&r, "overwrite_output_dir", "true");
    for (enum mistake i = NO_LOSS; i < MISTAKES; i++) {
        loss.context = &i;
        refused(train(&r), i == NO_FUNCTION ? PLAIT_ERROR_CONFIG : PLAIT_ERROR_USAGE, words[i]);
    }
    assert_null(plait_op_head_loss(NULL, NULL));
    assert_null(plait_builder_hidden(NULL));
    run_end(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(own_losses), TEST(losses_that_cannot_be) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
