/* finetune -- trains a model on a text file, with batches and a loss that this program makes itself.
 *
 *     finetune MODEL_DIRECTORY TEXT_FILE OUTPUT_DIRECTORY [STEPS]
 *
 * Samples are windows of the file's tokens, made when they are asked for: a function of their number and
 * nothing else, so that a run that was stopped goes on exactly where it was (resume_from_checkpoint). The
 * loss is the cross-entropy with each token's share bounded, 4 tanh(l / 4): what the model finds absurd, such
 * as broken text, counts no more than about 4. */
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
    int64_t first = index * WINDOW, left = text->count - first;
    const struct plait_array ids = {
        "input_ids", PLAIT_INT32, 1, { left < WINDOW ? left : WINDOW }, text->ids + first
    };

    return plait_sample_set(sample, &ids);
}

static struct plait_tensor *bounded_loss(void *context, struct plait_builder *b)
{
    struct plait_tensor *losses = plait_op_token_losses(b, plait_builder_hidden(b));
    struct plait_tensor *bounded = plait_op_function(b, plait_op_scale(b, losses, 0.25), "tanh");

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

static int finetune(const char *directory, const char *output, struct text *text, const char *steps)
{
    const char *options[] = { "output_dir",
                              output,
                              "resume_from_checkpoint",
                              "auto",
                              "max_steps",
                              steps,
                              "per_device_train_batch_size",
                              "4",
                              "learning_rate",
                              "1e-3",
                              NULL };
    struct plait_loss loss = { .build = bounded_loss };
    struct plait_samples samples = { .size = sizeof(samples),
                                     .count = (text->count + WINDOW - 1) / WINDOW,
                                     .max_length = WINDOW,
                                     .read = read_window,
                                     .context = text };
    struct plait_training own = {
        .size = sizeof(own), .train = &samples, .loss = &loss, .progress = print_progress
    };
    struct plait_evaluation result = { .size = sizeof(result) };
    struct plait_model *model;

    if (plait_model_open(directory, NULL, &model) != PLAIT_OK)
        return complain(directory);
    if (plait_model_train(model, options, &own) != PLAIT_OK ||
        plait_model_evaluate(model, NULL, &samples, NULL, &result) != PLAIT_OK) {
        plait_model_free(model);
        return complain("finetune");
    }
    printf("loss of the text, unbounded: %.4f\n", result.loss);
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
        status = finetune(argv[1], argv[3], &text, argc > 4 ? argv[4] : "100");
    free(text.ids);
    return status;
}
