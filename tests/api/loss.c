/* Losses of the caller's own: built from exported ops, planned and differentiated like the model's, on any
 * layout; gradients against differences of losses. */
#include "train_run.h"

typedef struct plait_tensor *build_fn(void *context, struct plait_builder *b);

/* ---- losses ---- */

static struct plait_tensor *usual(void *context, struct plait_builder *b)
{
    (void)context;
    return plait_op_head_loss(b, plait_builder_hidden(b));
}

/* The same in other words, and twice half of it. */
static struct plait_tensor *in_other_words(void *context, struct plait_builder *b)
{
    struct plait_tensor *half =
        plait_op_scale(b, plait_op_sum(b, plait_op_token_losses(b, plait_builder_hidden(b))), 0.5);

    (void)context;
    assert_non_null(plait_builder_labels(b));
    return plait_op_add(b, half, half);
}

static struct plait_tensor *bounded(void *context, struct plait_builder *b)
{
    struct plait_tensor *losses = plait_op_token_losses(b, plait_builder_hidden(b));

    (void)context;
    return plait_op_sum(b, plait_op_function(b, plait_op_scale(b, losses, 0.5), "tanh"));
}

static struct plait_tensor *through_dropout(void *context, struct plait_builder *b)
{
    (void)context;
    return plait_op_head_loss(b, plait_op_dropout(b, plait_builder_hidden(b), 0.5));
}

/* Lin et al., "Focal loss for dense object detection", 2017: (1 - p)^2 times the usual loss, here with
 * weights of the labels, whose sum divides: context, V of them. */
static struct plait_tensor *focal(void *context, struct plait_builder *b)
{
    struct plait_tensor *loss = plait_op_token_losses(b, plait_builder_hidden(b)), *miss, *weights;
    const struct plait_array *table = context;

    miss =
        plait_op_shift(b, plait_op_scale(b, plait_op_function(b, plait_op_scale(b, loss, -1), "exp"), -1), 1);
    loss = plait_op_multiply(b, plait_op_multiply(b, miss, miss), loss);
    if (table) {
        weights = plait_op_label_weights(b, table->data, table->shape[0]);
        plait_builder_divide(b, plait_op_sum(b, weights));
        loss = plait_op_multiply(b, weights, loss);
    }
    return plait_op_sum(b, loss);
}

/* Cross-entropy weighted by the first number beside each label. */
static struct plait_tensor *weighted(void *context, struct plait_builder *b)
{
    struct plait_tensor *weights = plait_op_column(b, plait_builder_targets(b), 0);

    (void)context;
    plait_builder_divide(b, plait_op_sum(b, weights));
    return plait_op_sum(b, plait_op_multiply(b, weights, plait_op_token_losses(b, plait_builder_hidden(b))));
}

/* Against the shares q that a teacher gives each logit: log sum exp less q times the logits. */
static struct plait_tensor *taught(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_builder_hidden(b), *shares = plait_builder_targets(b), *lse, *dot;

    (void)context;
    lse = plait_op_multiply(b, plait_op_log_sum_exp(b, x), plait_op_row_sum(b, shares));
    dot = plait_op_row_dot(b, shares, plait_op_logits(b, x));
    return plait_op_sum(b, plait_op_add(b, lse, plait_op_scale(b, dot, -1)));
}

/* Squared distance of hidden states, scaled row by row by log(1 + its first number squared). */
static struct plait_tensor *near(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_op_label_rows(b, plait_builder_hidden(b)), *first, *far;

    (void)context;
    far = plait_op_add(b, x, plait_op_scale(b, plait_builder_targets(b), -1));
    first = plait_op_column(b, x, 1);
    first = plait_op_function(b, plait_op_shift(b, plait_op_multiply(b, first, first), 1), "log");
    return plait_op_sum(b, plait_op_row_dot(b, far, plait_op_multiply(b, far, first)));
}

/* ---- gradients ---- */

struct check {
    const char *family, *name;
    build_fn *build;
    bool weights;  /* of logits, as context */
    int64_t width; /* of targets; 0: none, -1: V, -2: D */
    const char *params[3];
};

struct setting {
    struct plait_model *m;
    struct tensors in;
    struct plait_array list[8], weights;
    int64_t count;
    float *numbers, table[200];
    struct plait_loss loss;
};

static int64_t width_of(const struct check *c, const struct plait_model *m)
{
    return c->width == -1 ? plait_model_vocab_size(m) : c->width == -2 ? plait_model_width(m) : c->width;
}

/* Inputs of the stored case, with numbers beside its labels. */
static void setting_begin(struct setting *s, const struct check *c, const char *const *layout)
{
    const struct plait_array *labels;
    char path[512];
    int64_t width;

    *s = (struct setting){ .loss = { c->build, NULL } };
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/%s", c->family, c->name);
    must(plait_model_open(path, layout, &s->m));
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/%s/inputs.safetensors", c->family, c->name);
    tensors_read(&s->in, path);
    for (; s->count < s->in.count; s->count++)
        s->list[s->count] = s->in.list[s->count];
    labels = tensors_find(&s->in, "labels");
    if (!labels) { /* a base model: its tokens will do */
        labels = &s->list[s->count];
        s->list[s->count] = *tensors_find(&s->in, "input_ids");
        s->list[s->count++].name = "labels";
    }
    width = width_of(c, s->m);
    s->numbers = malloc((size_t)(elements(labels) * (width + 1)) * sizeof(float));
    for (int64_t i = 0; i < elements(labels) * width; i++)
        s->numbers[i] = (float)(i * i % 17) / 17;
    if (width > 0) {
        struct plait_array *targets = &s->list[s->count++];
        *targets = (struct plait_array){ "targets", PLAIT_FLOAT32, labels->ndim + 1, { 0 }, s->numbers };
        for (int d = 0; d < labels->ndim; d++)
            targets->shape[d] = labels->shape[d];
        targets->shape[labels->ndim] = width;
    }
    for (int i = 0; i < 200; i++)
        s->table[i] = 0.5f + (float)(i % 5);
    s->weights = (struct plait_array){ .data = s->table };
    s->loss.context = c->weights ? &s->weights : NULL;
}

static void setting_end(struct setting *s)
{
    tensors_release(&s->in);
    plait_model_free(s->m);
    free(s->numbers);
}

/* The loss where a parameter is moved by `step` along a direction. */
static double loss_at(struct setting *s, const char *directory, const char *param, const float *direction,
                      double step)
{
    struct tensors weights;
    struct plait_model *m;
    const struct plait_array *w;
    char path[4200], *bytes;
    size_t length;
    FILE *f;
    double loss;

    snprintf(path, sizeof(path), "%s/model.safetensors", directory);
    tensors_read(&weights, path);
    w = tensors_find(&weights, param);
    assert_non_null(w);
    bytes = read_bytes(path, &length);
    for (int64_t i = 0; i < elements(w); i++) {
        float value;
        memcpy(&value, (const char *)w->data + i * 4, 4);
        value = (float)(value + step * direction[i]);
        memcpy(bytes + ((const char *)w->data - weights.file) + i * 4, &value, 4);
    }
    f = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, length, f), length);
    fclose(f);
    must(plait_model_open(directory, NULL, &m));
    must(plait_model_forward(m, s->list, s->count, 0, &s->loss));
    loss = loss_of(m);
    plait_model_free(m);
    free(bytes);
    tensors_release(&weights);
    return loss;
}

static float *gradient_of(struct setting *s, const char *param, int64_t *count)
{
    int64_t dims[4];
    float *g;

    *count = 1;
    for (int64_t i = 0; i < plait_model_param_count(s->m); i++)
        if (strcmp(plait_model_param_name(s->m, i), param) == 0)
            for (int d = 0; d < plait_model_param_shape(s->m, i, dims, 4); d++)
                *count *= dims[d];
    g = malloc((size_t)*count * sizeof(float));
    must(plait_model_forward(s->m, s->list, s->count, PLAIT_GRADIENTS, &s->loss));
    must(plait_model_gradient_read(s->m, param, g, *count));
    return g;
}

/* Along its own direction the slope is the gradient's norm. */
static void check_slope(struct setting *s, const struct check *c, const char *param, const char *directory)
{
    int64_t count;
    double norm = 0, up, down, step;
    float *g = gradient_of(s, param, &count);

    for (int64_t i = 0; i < count; i++)
        norm += (double)g[i] * g[i];
    norm = sqrt(norm);
    assert_true(norm > 1e-4);
    for (int64_t i = 0; i < count; i++)
        g[i] = (float)(g[i] / norm);
    step = 4e-3 / norm < 0.05 ? 4e-3 / norm : 0.05;
    must(plait_model_save(s->m, directory, NULL));
    up = loss_at(s, directory, param, g, step);
    down = loss_at(s, directory, param, g, -2 * step); /* from where the last one left it */
    if (fabs((up - down) / (2 * step) - norm) > 1e-2 * norm)
        fail_msg("%s/%s: %s: slope %g, gradient %g", c->family, c->name, param, (up - down) / (2 * step),
                 norm);
    free(g);
}

static const struct check checks[] = {
    { "gpt2", "plain", focal, true, 0, { "transformer.wte.weight", "transformer.ln_f.bias" } },
    { "gpt2", "plain", taught, false, -1, { "transformer.h.0.mlp.c_fc.weight", "transformer.wte.weight" } },
    { "gpt2", "pad_right", weighted, false, 3, { "transformer.wpe.weight" } },
    { "llama", "plain", focal, false, 0, { "lm_head.weight", "model.norm.weight" } },
    { "bert", "plain", focal, true, 0, { "cls.predictions.transform.dense.weight", "cls.predictions.bias" } },
    { "bert", "class", weighted, false, 1, { "classifier.weight", "bert.pooler.dense.weight" } },
    { "bert", "base", near, false, -2, { "encoder.layer.0.output.dense.weight" } },
    { "t5", "plain", taught, false, -1, { "decoder.final_layer_norm.weight", "shared.weight" } },
};
enum { CHECKS = sizeof(checks) / sizeof(checks[0]) };

static void gradients_are_slopes(void **state)
{
    struct path p;
    char name[20];

    for (int i = 0; i < CHECKS; i++) {
        struct setting s;
        setting_begin(&s, &checks[i], NULL);
        s.weights.shape[0] = plait_model_vocab_size(s.m);
        for (int k = 0; checks[i].params[k]; k++) {
            snprintf(name, sizeof(name), "%d.%d", i, k);
            check_slope(&s, &checks[i], checks[i].params[k], within(state, name, &p));
        }
        setting_end(&s);
    }
}

/* The gradient is the same on ranks that share the model. */
static void check_layout(const struct check *c, const char *const *layout)
{
    struct setting one, r;
    double difference = 0, norm = 0;
    int64_t count;
    float *g, *h;

    setting_begin(&one, c, NULL);
    setting_begin(&r, c, layout);
    for (int k = 0; c->params[k]; k++) {
        r.weights.shape[0] = one.weights.shape[0] = plait_model_vocab_size(one.m);
        g = gradient_of(&one, c->params[k], &count);
        h = gradient_of(&r, c->params[k], &count);
        for (int64_t i = 0; i < count; i++) {
            difference += ((double)g[i] - h[i]) * ((double)g[i] - h[i]);
            norm += (double)g[i] * g[i];
        }
        free(g);
        free(h);
    }
    if (!(difference < 1e-8 * norm))
        fail_msg("%s/%s on %s %s: %g of %g", c->family, c->name, layout[0], layout[1], difference, norm);
    assert_true(fabs(loss_of(r.m) - loss_of(one.m)) < 1e-5 * fabs(loss_of(one.m)));
    setting_end(&one);
    setting_end(&r);
}

static void gradients_on_layouts(void **state)
{
    static const char *const stages[] = { "pipeline_parallel_size", "2", NULL };
    static const char *const all[] = { "pipeline_parallel_size", "2", "world_size", "8",
                                       "tensor_parallel_size",   "2", NULL };

    (void)state;
    for (int i = 0; i < CHECKS; i++) {
        check_layout(&checks[i], stages);

        check_layout(&checks[i], all);
    }
}

/* What a loss of the caller's own gives is the model's loss, where it is built so. */
static void forward_with_a_loss(void **state)
{
    static const struct check plain = { "gpt2", "plain", usual, false, 0, { NULL } };
    struct plait_array logits;
    struct setting s;
    float loss;

    (void)state;
    setting_begin(&s, &plain, NULL);
    must(plait_model_forward(s.m, s.list, s.count, PLAIT_LOGITS, NULL));
    loss = loss_of(s.m);
    must(plait_model_forward(s.m, s.list, s.count, PLAIT_LOGITS, &s.loss));
    assert_true(fabsf(loss_of(s.m) - loss) < 1e-6f * loss);
    logits = output(s.m, "logits");
    assert_int_equal(logits.ndim, 3);
    s.loss.build = in_other_words;
    must(plait_model_forward(s.m, s.list, s.count, 0, &s.loss));
    assert_true(fabsf(loss_of(s.m) - loss) < 1e-6f * loss);
    setting_end(&s);
}

/* ---- training ---- */

static void train_with(struct run *r, void **state, const char *dir, struct plait_loss *loss,
                       const char *const *layout)
{
    run_open(r, state, dir, "gpt2", layout);
    if (layout && strncmp(layout[0], "data", 4) == 0)
        set(r, "per_device_train_batch_size", "2");
    r->own.loss = loss;
    must(train(r));
}

static void own_losses(void **state)
{
    struct plait_loss loss = { usual, NULL };
    struct run a, b, c, d;

    train_with(&a, state, "usual", &loss, NULL);
    follow(&a, a.golden->loss, a.golden->norm);
    loss.build = in_other_words;
    train_with(&b, state, "words", &loss, NULL);
    follow(&b, b.golden->loss, b.golden->norm);
    loss.build = bounded;
    train_with(&c, state, "bounded", &loss, NULL);
    assert_true(c.loss[0] < 1 && c.loss[0] > 0.9);
    assert_true(c.loss[STEPS - 1] < c.loss[0] - 0.02);
    loss.build = through_dropout;
    train_with(&d, state, "dropout", &loss, NULL);
    assert_true(fabs(d.loss[0] - a.loss[0]) > 1e-6 && fabs(d.loss[0] - a.loss[0]) < 0.5);
    run_end(&a);
    run_end(&b);
    run_end(&c);
    run_end(&d);
}

/* With weights by label, whose sum divides: the layout changes nothing. */
static void layouts_change_nothing(void **state)
{
    static const char *const layouts[][3] = { { "tensor_parallel_size", "2", NULL },
                                              { "data_parallel_size", "2", NULL },
                                              { "pipeline_parallel_size", "2", NULL } };
    static const char *const names[] = { "tp", "dp", "pp" };
    float table[64];
    struct plait_array weights = { .shape = { 64 }, .data = table };
    struct plait_loss loss = { focal, &weights };
    struct plait_evaluation e = { .size = sizeof(e) }, other = { .size = sizeof(other) };
    struct run one, r;

    for (int i = 0; i < 64; i++)
        table[i] = 0.5f + (float)(i % 3);
    train_with(&one, state, "one", &loss, NULL);
    must(plait_model_evaluate(one.m, NULL, &one.samples, &loss, &e));
    assert_true(isnan(e.perplexity) && isnan(e.accuracy) && e.loss < one.loss[0]);
    for (int i = 0; i < 3; i++) {
        train_with(&r, state, names[i], &loss, layouts[i]);
        follow(&r, one.loss, one.norm);
        must(plait_model_evaluate(r.m, NULL, &r.samples, &loss, &other));
        assert_true(fabs(other.loss - e.loss) < 2e-3 * e.loss);
        run_end(&r);
    }
    run_end(&one);
}

/* Numbers that come with samples: the weights of the table, label by label. */
static int read_weighted(void *context, int64_t index, struct plait_sample *s)
{
    const struct run *r = context;
    const struct row *row = &r->golden->rows[index % r->golden->count];
    float numbers[2 * LENGTH];

    for (int i = 0; i < LENGTH; i++) {
        numbers[2 * i] = 0.5f + (float)(row->ids[i] % 3);
        numbers[2 * i + 1] = 7;
    }
    plait_sample_set(s, &(struct plait_array){ "input_ids", PLAIT_INT32, 1, { LENGTH }, row->ids });
    plait_sample_set(s, &(struct plait_array){ "targets", PLAIT_FLOAT32, 2, { LENGTH, 2 }, numbers });
    return 0;
}

static struct plait_tensor *weighted_by_table(void *context, struct plait_builder *b)
{
    const struct plait_array *table = context;
    struct plait_tensor *weights = plait_op_label_weights(b, table->data, table->shape[0]);

    plait_builder_divide(b, plait_op_sum(b, weights));
    return plait_op_sum(b, plait_op_multiply(b, weights, plait_op_token_losses(b, plait_builder_hidden(b))));
}

static void numbers_beside_labels(void **state)
{
    float table[64];
    struct plait_array weights = { .shape = { 64 }, .data = table };
    struct plait_loss by_table = { weighted_by_table, &weights }, by_numbers = { weighted, NULL };
    struct run a, b;

    for (int i = 0; i < 64; i++)
        table[i] = 0.5f + (float)(i % 3);
    train_with(&a, state, "table", &by_table, NULL);
    run_begin(&b, state, "numbers");
    b.samples.target_width = 2;
    b.samples.read = read_weighted;
    b.own.loss = &by_numbers;
    must(train(&b));
    follow(&b, a.loss, a.norm);
    b.samples.read = read_row;
    set(&b, "overwrite_output_dir", "true");
    refused(train(&b), PLAIT_ERROR_DATA, "targets are missing");
    run_end(&a);
    run_end(&b);
}

/* A base model has no head, and needs none. */
static struct plait_tensor *small(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_op_label_rows(b, plait_builder_hidden(b));

    (void)context;
    return plait_op_sum(b, plait_op_row_dot(b, x, x));
}

static void small_hidden_states(void **state, const char *family, const char *class)
{
    const char *options[] = { class ? "config_overrides" : NULL, NULL, NULL };
    struct plait_loss loss = { small, NULL };
    char overrides[40], path[4200];
    struct tensors saved;
    struct run r;

    snprintf(overrides, sizeof(overrides), "architectures=%s", class);
    options[1] = overrides;
    run_open(&r, state, family, family, options);
    r.samples.max_length = longest(r.golden);
    r.own.loss = &loss;
    set(&r, "overwrite_output_dir", "true");
    must(train(&r));
    assert_true(r.loss[STEPS - 1] < r.loss[0]);
    if (class)
        assert_string_equal(plait_model_class(r.m), class);
    snprintf(path, sizeof(path), "%s/model.safetensors", r.dir.text);
    tensors_read(&saved, path);
    assert_int_equal(saved.count, plait_model_param_count(r.m));
    tensors_release(&saved);
    run_end(&r);
}

static void models_train_without_their_heads(void **state)
{
    small_hidden_states(state, "gpt2", "GPT2Model");
    small_hidden_states(state, "bert", "BertModel");
    small_hidden_states(state, "t5", "T5Model");
    small_hidden_states(state, "bert", NULL);
    small_hidden_states(state, "t5", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gradients_are_slopes),
        TEST(gradients_on_layouts),
        TEST(forward_with_a_loss),
        TEST(own_losses),
        TEST(layouts_change_nothing),
        TEST(numbers_beside_labels),
        TEST(models_train_without_their_heads),

    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
