/* distill -- teaches a small model what a large one knows, on several ranks (Hinton, Vinyals, Dean,
 * "Distilling the knowledge in a neural network", 2015).
 *
 *     distill TEACHER STUDENT TEXT_FILE OUTPUT_DIRECTORY [RANKS [STEPS]]
 *
 * For each token of the text the teacher says how likely it takes every token to be there; the student learns
 * to say the same. So batches are the program's own, with numbers beside the labels, and so is the loss. Each
 * layer of the student is divided among RANKS ranks. What they learn is saved as they hold it, in pieces;
 * opened again on one rank; and merged into a model directory, OUTPUT_DIRECTORY/merged, that transformers
 * opens as well. Both models have the same tokenizer.
 *
 * All that the teacher says is kept in memory, a number for each token of the text and each of the
 * vocabulary: a program for long texts would ask it again, or keep the likeliest tokens only. */
#include <plait.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 32, MOST_BYTES = 1 << 16 };

struct lesson {
    int32_t *ids;
    int64_t count, windows, vocab;
    float *said; /* [windows * WINDOW][vocab]: logits of each token, by what stands before it */
};

static int complain(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, plait_error());
    if (*plait_error_hint())
        fprintf(stderr, "%s\n", plait_error_hint());
    return 1;
}

/* ---- the loss: cross-entropy against the teacher's shares, which are exp(said) over its sum ---- */

static struct plait_tensor *taught(void *context, struct plait_builder *b)
{
    struct plait_tensor *x = plait_builder_hidden(b), *shares, *sum, *dot;

    (void)context;
    shares = plait_op_function(b, plait_builder_targets(b), "exp");
    sum = plait_op_function(b, plait_op_row_sum(b, shares), "log");
    dot = plait_op_row_dot(b, shares, plait_op_logits(b, x));
    dot = plait_op_multiply(b, dot, plait_op_function(b, plait_op_scale(b, sum, -1), "exp"));
    return plait_op_sum(b, plait_op_add(b, plait_op_log_sum_exp(b, x), plait_op_scale(b, dot, -1)));
}

/* ---- the batches ---- */

static int read_window(void *context, int64_t index, struct plait_sample *sample)
{
    const struct lesson *l = context;
    const struct plait_array ids = { "input_ids", PLAIT_INT32, 1, { WINDOW }, l->ids + index * WINDOW };
    const struct plait_array said = {
        "targets", PLAIT_FLOAT32, 2, { WINDOW, l->vocab }, l->said + index * WINDOW * l->vocab
    };

    return plait_sample_set(sample, &ids) != PLAIT_OK || plait_sample_set(sample, &said) != PLAIT_OK;
}

static int read_text(const char *directory, const char *path, struct lesson *l)
{
    struct plait_tokenizer *tokenizer = NULL;
    static char text[MOST_BYTES];
    FILE *f = fopen(path, "rb");
    size_t length = f ? fread(text, 1, sizeof(text), f) : 0;

    if (!f) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return 1;
    }
    fclose(f);
    if (length == sizeof(text)) /* whole lines: no half characters */
        while (length > 0 && text[length - 1] != '\n')
            length--;
    l->ids = malloc(sizeof(text) * sizeof(l->ids[0]));
    l->count = -1;
    if (l->ids && plait_tokenizer_load(directory, &tokenizer) == PLAIT_OK)
        l->count = plait_tokenizer_encode(tokenizer, text, length, 0, l->ids, MOST_BYTES);
    plait_tokenizer_free(tokenizer);
    if (l->count < 0)
        return complain(path);
    l->windows = l->count / WINDOW;
    if (l->windows == 0)
        fprintf(stderr, "%s: too short\n", path);
    return l->windows == 0;
}

/* The largest becomes 0, so that no exp overflows. */
static void shift(const float *logits, int64_t vocab, float *said)
{
    float most = logits[0];

    for (int64_t v = 1; v < vocab; v++)
        most = logits[v] > most ? logits[v] : most;
    for (int64_t v = 0; v < vocab; v++)
        said[v] = logits[v] - most;
}

/* What row t says is of token t + 1, and goes with that token's label. */
static int ask_teacher(struct plait_model *teacher, struct lesson *l)
{
    l->vocab = plait_model_vocab_size(teacher);
    l->said = calloc((size_t)(l->windows * WINDOW * l->vocab), sizeof(l->said[0]));
    if (!l->said)
        return 1;
    for (int64_t w = 0; w < l->windows; w++) {
        const struct plait_array ids = { "input_ids", PLAIT_INT32, 2, { 1, WINDOW }, l->ids + w * WINDOW };
        struct plait_array logits;
        if (plait_model_forward(teacher, &ids, 1, PLAIT_LOGITS, NULL) != PLAIT_OK ||
            plait_model_output(teacher, "logits", &logits) != PLAIT_OK)
            return complain("teacher");
        for (int64_t t = 0; t + 1 < WINDOW; t++)
            shift((const float *)logits.data + t * l->vocab, l->vocab,
                  l->said + (w * WINDOW + t + 1) * l->vocab);
    }
    return 0;
}

/* ---- learning on a layout, and what becomes of it ---- */

static int tell_distance(const char *what, struct plait_model *m, const struct plait_samples *samples,
                         const struct plait_loss *loss)
{
    struct plait_evaluation e = { .size = sizeof(e) };

    if (plait_model_evaluate(m, NULL, samples, loss, &e) != PLAIT_OK)
        return complain(what);
    printf("%s: %.6f\n", what, e.loss);
    return 0;
}

static int open_and_tell(const char *what, const char *directory, const struct plait_samples *samples,
                         const struct plait_loss *loss)
{
    struct plait_model *m;
    int failed;

    if (plait_model_open(directory, NULL, &m) != PLAIT_OK)
        return complain(directory);
    failed = tell_distance(what, m, samples, loss);
    plait_model_free(m);
    return failed;
}

static int learn(struct plait_model *student, struct lesson *l, const char *output, const char *steps)
{
    const char *options[] = { "output_dir", output,          "save_sharded",
                              "true",       "save_steps",    steps,
                              "max_steps",  steps,           "per_device_train_batch_size",
                              "8",          "learning_rate", "5e-3",
                              NULL };
    struct plait_loss loss = { .build = taught };
    struct plait_samples samples = { .size = sizeof(samples),
                                     .count = l->windows,
                                     .max_length = WINDOW,
                                     .read = read_window,
                                     .context = l,
                                     .target_width = l->vocab };
    struct plait_training own = { .size = sizeof(own), .train = &samples, .loss = &loss };
    char pieces[4096], merged[4096];

    if (tell_distance("before", student, &samples, &loss))
        return 1;
    if (plait_model_train(student, options, &own) != PLAIT_OK)
        return complain("student");
    snprintf(pieces, sizeof(pieces), "%s/checkpoint-%s", output, steps);
    snprintf(merged, sizeof(merged), "%s/merged", output);
    if (tell_distance("after", student, &samples, &loss) ||
        open_and_tell("in pieces, on one rank", pieces, &samples, &loss))
        return 1;
    if (plait_checkpoint_merge(pieces, merged, NULL) != PLAIT_OK)
        return complain("merge");
    return open_and_tell("merged", merged, &samples, &loss);
}

int main(int argc, char **argv)
{
    const char *layout[] = { "tensor_parallel_size", argc > 5 ? argv[5] : "2", NULL };
    struct plait_model *teacher = NULL, *student = NULL;
    struct lesson lesson = { 0 };
    int failed = 1;

    if (argc < 5) {
        fprintf(stderr, "usage: %s TEACHER STUDENT TEXT_FILE OUTPUT_DIRECTORY [RANKS [STEPS]]\n", argv[0]);
        return 64;
    }
    plait_log_set(PLAIT_LOG_WARNING);
    if (plait_model_open(argv[1], NULL, &teacher) != PLAIT_OK ||
        plait_model_open(argv[2], layout, &student) != PLAIT_OK)
        complain(argv[0]);
    else if (!read_text(argv[1], argv[3], &lesson) && !ask_teacher(teacher, &lesson))
        failed = learn(student, &lesson, argv[4], argc > 6 ? argv[6] : "100");
    plait_model_free(teacher);
    plait_model_free(student);
    free(lesson.ids);
    free(lesson.said);
    return failed;
}
