/* Losses of the caller's own are the same on any layout, with their gradients. */
#include "train_run.h"

enum { SAMPLES = 4, TOKENS = 8, WIDTH = 1000 };

struct teaching {
    float weights[WIDTH];
    int64_t vocab;
};

/* (1 - p)^2 times the usual loss, with weights of the labels, whose sum divides. */
static struct plait_tensor *focal(void *context, struct plait_builder *b)
{
    const struct teaching *t = context;
    struct plait_tensor *loss = plait_op_token_losses(b, plait_builder_hidden(b)), *miss, *weights;

    miss =
        plait_op_shift(b, plait_op_scale(b, plait_op_function(b, plait_op_scale(b, loss, -1), "exp"), -1), 1);
    loss = plait_op_multiply(b, plait_op_multiply(b, miss, miss), loss);
    weights = plait_op_label_weights(b, t->weights, t->vocab);
    plait_builder_divide(b, plait_op_sum(b, weights));
    return plait_op_sum(b, plait_op_multiply(b, weights, loss));
}

/* Against the shares that somebody else gives each logit. */
static struct plait_tensor *taught(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_builder_hidden(b), *shares = plait_builder_targets(b), *lse, *dot;

    (void)context;
    lse = plait_op_multiply(b, plait_op_log_sum_exp(b, x), plait_op_row_sum(b, shares));
    dot = plait_op_row_dot(b, shares, plait_op_logits(b, x));
    return plait_op_sum(b, plait_op_add(b, lse, plait_op_scale(b, dot, -1)));
}

/* Twice by the head, and by hidden states alone. */
static struct plait_tensor *several(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_builder_hidden(b), *rows = plait_op_label_rows(b, x), *sum;

    sum = plait_op_add(b, plait_op_head_loss(b, x), taught(context, b));
    return plait_op_add(b, sum, plait_op_sum(b, plait_op_row_dot(b, rows, rows)));
}

/* The loss, and the gradients' norm. */
static double measure(struct plait_model *m, const struct plait_loss *loss, float *value)
{
    static int32_t ids[SAMPLES * TOKENS];
    static float shares[SAMPLES * TOKENS * WIDTH];
    int64_t vocab = plait_model_vocab_size(m);
    const struct plait_array inputs[] = {
        { "input_ids", PLAIT_INT32, 2, { SAMPLES, TOKENS }, ids },
        { "labels", PLAIT_INT32, 2, { SAMPLES, TOKENS }, ids },
        { "targets", PLAIT_FLOAT32, 3, { SAMPLES, TOKENS, vocab }, shares },
    };
    double norm = 0;

    for (int i = 0; i < SAMPLES * TOKENS; i++)
        ids[i] = 5 + i * 7 % 30;
    for (int64_t i = 0; i < SAMPLES * TOKENS * vocab; i++)
        shares[i] = (float)(i * i % 17) / (float)vocab;
    must(plait_model_forward(m, inputs, loss->build == focal ? 2 : 3, PLAIT_GRADIENTS, loss));
    *value = loss_of(m);
    for (int64_t i = 0; i < plait_model_param_count(m); i++) {
        int64_t dims[4], count = 1;
        float *g;
        for (int d = 0; d < plait_model_param_shape(m, i, dims, 4); d++)
            count *= dims[d];
        g = malloc((size_t)count * sizeof(float));
        must(plait_model_gradient_read(m, plait_model_param_name(m, i), g, count));
        for (int64_t k = 0; k < count; k++)
            norm += (double)g[k] * g[k];
        free(g);
    }
    return sqrt(norm);
}

static double open_and_measure(const char *model, const char *const *layout, struct plait_loss *loss,
                               float *value)
{
    struct teaching *t = loss->context;
    struct plait_model *m;
    char path[512];
    double norm;

    snprintf(path, sizeof(path), GOLDEN_DIR "/%s", model);
    must(plait_model_open(path, layout, &m));
    t->vocab = plait_model_vocab_size(m);
    assert_true(t->vocab <= WIDTH);
    norm = measure(m, loss, value);
    plait_model_free(m);
    return norm;
}

static void layouts_change_nothing(void **state)
{
    static const char *const models[] = { "gpt2/heads3", "llama/plain", "bert/plain", "t5/plain" };
    static const char *const sizes[][3] = {
        { "2", "1", "1" }, { "1", "2", "1" }, { "1", "3", "1" }, { "2", "2", "2" }
    };
    struct teaching t;
    struct plait_loss losses[] = { { focal, &t }, { taught, &t }, { several, &t } };
    float one, other;

    (void)state;
    for (int i = 0; i < WIDTH; i++)
        t.weights[i] = 0.5f + (float)(i % 3);
    for (int k = 0; k < 12; k++) {
        struct plait_loss *loss = &losses[k % 3];
        double norm = open_and_measure(models[k / 3], NULL, loss, &one);
        for (int i = 0; i < 4; i++) {
            const char *layout[] = { "data_parallel_size",
                                     sizes[i][0],
                                     "tensor_parallel_size",
                                     sizes[i][1],
                                     "pipeline_parallel_size",
                                     sizes[i][2],
                                     NULL };
            double there = open_and_measure(models[k / 3], layout, loss, &other);
            if (fabs(there - norm) > 1e-5 * norm || fabsf(other - one) > 1e-5f * one)
                fail_msg("%s, layout %d: loss %g, norm %g, expected %g, %g", models[k / 3], i, (double)other,
                         there, (double)one, norm);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(layouts_change_nothing) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
