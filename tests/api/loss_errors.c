/* A loss of the caller's own that cannot be: whatever is given to the builder, a sentence comes back. */
#include "train_run.h"

enum mistake {
    NO_LOSS,
    NO_SCALAR,
    NULL_TENSOR,
    WRONG_SHAPES,
    WRONG_TYPE,
    NO_FUNCTION,
    NOT_FINITE,
    BAD_SHARE,
    LABELS_ARE_NO_LOSS,
    SUM_OF_ROWS,
    NO_TARGETS,
    FEW_WEIGHTS,
    NO_COLUMN,
    ROWS_OF_LABELS,
    NO_FACTOR,
    COUNT_OF_ROWS,
    BY_ITSELF,
    MISTAKES
};

static struct plait_tensor *mistaken(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_builder_hidden(b), *losses;
    const float one = 1;

    switch (*(enum mistake *)context) {
    case NO_SCALAR: return x;
    case NULL_TENSOR: return plait_op_add(b, x, NULL);
    case WRONG_SHAPES: return plait_op_add(b, x, plait_op_token_losses(b, x));
    case WRONG_TYPE: return plait_op_scale(b, plait_builder_labels(b), 2);
    case NO_FUNCTION: return plait_op_function(b, x, "sine");
    case NOT_FINITE: return plait_op_scale(b, x, (double)INFINITY);
    case BAD_SHARE: return plait_op_dropout(b, x, 1);
    case LABELS_ARE_NO_LOSS: return plait_builder_labels(b);
    case SUM_OF_ROWS: return plait_op_sum(b, x);
    case NO_TARGETS: return plait_op_row_sum(b, plait_builder_targets(b));
    case FEW_WEIGHTS: return plait_op_label_weights(b, &one, 1);
    case NO_COLUMN: return plait_op_column(b, x, 32);
    case ROWS_OF_LABELS: return plait_op_logits(b, plait_op_label_rows(b, x));
    case NO_FACTOR: return plait_op_multiply(b, x, plait_op_token_losses(b, x));
    case COUNT_OF_ROWS: plait_builder_divide(b, plait_op_token_losses(b, x)); return plait_op_head_loss(b, x);
    case BY_ITSELF:
        losses = plait_op_head_loss(b, x);
        plait_builder_divide(b, losses);
        return losses;
    default: break;
    }
    losses = plait_op_function(b, x, NULL);
    assert_null(losses);
    assert_null(plait_op_head_loss(b, x));
    return NULL;
}

static void losses_that_cannot_be(void **state)
{
    static const char *const words[MISTAKES] = {
        "the name is NULL",
        "no scalar",
        "a tensor is NULL",
        "differ in shape",
        "floating-point",
        "sine",
        "finite",
        "[0, 1)",
        "no scalar",
        "(R) floats",
        "no numbers",
        "found 1, expected 64",
        "found 32, expected 0 to 31",
        "(N, D) floats",
        "differ in shape",
        "takes a scalar",
        "divided by itself",
    };
    struct plait_loss loss = { .build = mistaken };
    struct run r;

    run_begin(&r, state, "run");
    r.own.loss = &loss;
    set(&r, "overwrite_output_dir", "true");
    for (enum mistake i = NO_LOSS; i < MISTAKES; i++) {
        loss.context = &i;
        refused(train(&r), i == NO_FUNCTION ? PLAIT_ERROR_CONFIG : PLAIT_ERROR_USAGE, words[i]);
    }
    loss.build = NULL;
    refused(train(&r), PLAIT_ERROR_USAGE, "build is NULL");
    assert_null(plait_op_head_loss(NULL, NULL));
    assert_null(plait_builder_hidden(NULL));
    plait_builder_divide(NULL, NULL);
    run_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(losses_that_cannot_be, scratch_begin, scratch_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
