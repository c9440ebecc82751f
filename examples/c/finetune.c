/* finetune -- trains a model on a text file, with batches and a loss that this program makes itself.
 *
 *     finetune MODEL_DIRECTORY TEXT_FILE OUTPUT_DIRECTORY [STEPS]
 *
 * Samples are windows of the file's tokens, made when they are asked for: a function of their number and
 * nothing else, so that a run that was stopped goes on exactly where it was (options.resume). The loss is the
 * cross-entropy with each token's share bounded, 4 tanh(l / 4): what the model finds absurd, such as broken
 * text, counts no more than about 4. */
#include <plait.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 64 };

struct text {
    int32_t *ids;
    int64_t count;
};

static int complain(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, plait_error());
    if (*plait_error_hint())
        fprintf(stderr, "%s\n", plait_error_hint());
    return 1;
}

/* ---- what training asks for ---- */

static int read_window(void *context, int64_t index, struct plait_sample *sample)
{
    const struct text *text = context;
    int64_t first = index * WINDOW;

    sample->length = text->count - first < WINDOW ? text->count - first : WINDOW;
    memcpy(sample->ids, text->ids + first, (size_t)sample->length * sizeof(text->ids[0]));
    return 0;
}

static struct plait_tensor *bounded_loss(void *context, struct plait_builder *b)
{
    struct plait_tensor *losses = plait_op_token_losses(b, plait_builder_hidden(b));
    struct plait_tensor *bounded = plait_op_activation(b, plait_op_scale(b, losses, 0.25), "tanh");

    (void)context;
    return plait_op_scale(b, plait_op_sum(b, bounded), 4);
}

static int print_progress(void *context, const struct plait_train_progress *p)
{
    (void)context;
    printf("step %lld of %lld  loss %.4f  learning rate %.2e  gradient norm %.3f\n", (long long)p->step,
           (long long)p->total_steps, p->loss, p->learning_rate, p->grad_norm);
    return 0;
}

/* ---- the text ---- */

static char *read_file(const char *path, size_t *length)
{
    FILE *f = fopen(path, "rb");
    char *bytes = NULL;
    size_t room = 0, got = 1;

    *length = 0;
    while (f && got > 0) {
        if (*length == room) {
            char *more = realloc(bytes, room = room * 2 + 65536);
            if (!more)
                break;
            bytes = more;
        }
        got = fread(bytes + *length, 1, room - *length, f);
        *length += got;
    }
    if (f)
        fclose(f);
    return bytes;
}

static int read_text(const char *directory, const char *path, struct text *text)
{
    struct plait_tokenizer *tokenizer = NULL;
    size_t length;
    char *bytes = read_file(path, &length);
    int failed = 1;

    text->count = -1;
    if (!bytes) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    if (plait_tokenizer_load(directory, &tokenizer) == PLAIT_OK)
        text->count = plait_tokenizer_encode(tokenizer, bytes, length, 0, NULL, 0);
    if (text->count >= 0) {
        text->ids = malloc((size_t)(text->count + 1) * sizeof(text->ids[0]));
        failed =
            !text->ids || plait_tokenizer_encode(tokenizer, bytes, length, 0, text->ids, text->count) < 0;
    }
    if (failed)
        complain(path);
    plait_tokenizer_free(tokenizer);
    free(bytes);
    return failed;
}

static int finetune(const char *directory, const char *output, struct text *text, int64_t steps)
{
    struct plait_train_options options;
    struct plait_samples samples;
    struct plait_model *model;
    double loss;

    if (plait_model_open(directory, NULL, &model) != PLAIT_OK)
        return complain(directory);
    plait_samples_init(&samples, sizeof(samples));
    samples.count = (text->count + WINDOW - 1) / WINDOW;
    samples.max_length = WINDOW;
    samples.read = read_window;
    samples.context = text;
    plait_train_options_init(&options, sizeof(options));
    options.output_dir = output;
    options.resume = "auto";
    options.train = &samples;
    options.batch_size = 4;
    options.max_steps = steps;
    options.learning_rate = 1e-3;
    options.loss = bounded_loss;
    options.progress = print_progress;
    if (plait_model_train(model, &options) != PLAIT_OK ||
        plait_model_evaluate(model, &samples, 4, &loss, NULL) != PLAIT_OK) {
        plait_model_free(model);
        return complain("finetune");
    }
    printf("loss of the text, unbounded: %.4f\n", loss);
    plait_model_free(model);
    return 0;
}

int main(int argc, char **argv)
{
    struct text text = { 0 };
    int status;

    if (argc < 4) {
        fprintf(stderr, "usage: %s MODEL_DIRECTORY TEXT_FILE OUTPUT_DIRECTORY [STEPS]\n", argv[0]);
        return 64;
    }
    plait_log_set(PLAIT_LOG_WARNING);
    status = read_text(argv[1], argv[2], &text);
    if (status == 0 && text.count == 0) {
        fprintf(stderr, "%s: has no tokens\n", argv[2]);
        status = 65;
    }
    if (status == 0)
        status = finetune(argv[1], argv[3], &text, argc > 4 ? strtoll(argv[4], NULL, 10) : 100);
    free(text.ids);
    return status;
}
