/* plait tokenizer train -- from text to a tokenizer. */
#include <inttypes.h>

#include "api/tokenizer_train.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"

struct values {
    struct tokenizer_train_values train;
    const char *output_dir;
};

static const struct option own_options[] = {
    { "output_dir", OPTION_STRING, offsetof(struct values, output_dir), NULL,
      "directory for tokenizer.json, tokenizer_config.json, and vocab.json with merges.txt or vocab.txt" },
    { 0 },
};

static const struct option_part parts[] = {
    { .parts = tokenizer_train_parts, .offset = offsetof(struct values, train) },
    { "Result", own_options, 0 },
    { "", no_compute_options, 0 },
    { 0 },
};

static void warn_few(const struct values *v, const struct tokenizer *t)
{
    if (v->train.type == TOK_TRAIN_UNIGRAM)
        warn("the text gave %" PRId32 " entries, not the %" PRId64 " asked for: no other piece occurs often",
             tokenizer_size(t), v->train.vocab_size);
    else
        warn("the text gave %" PRId32 " entries, not the %" PRId64 " asked for: no other pair occurs %" PRId64
             " times",
             tokenizer_size(t), v->train.vocab_size, v->train.min_frequency);
}

static int run(void *values, struct options *o)
{
    const struct values *v = values;
    struct tokenizer *t;
    int status;

    (void)o;
    TRY(require_text("output_dir", v->output_dir));
    TRY(tokenizer_train_run(&v->train, v->output_dir, &t));
    status = directory_create(v->output_dir);
    if (status == OK)
        status = tokenizer_save(t, v->output_dir);
    if (status == OK)
        inform("%s/tokenizer.json: %" PRId32 " entries", v->output_dir, tokenizer_size(t));
    if (status == OK && tokenizer_size(t) < v->train.vocab_size)
        warn_few(v, t);
    tokenizer_free(t);
    return status;
}

const struct command command_tokenizer_train = {
    .name = "tokenizer train",
    .summary = "make a tokenizer from text",
    .example =
        "plait tokenizer train --files corpus.txt --vocab_size 50265 --min_frequency 2 --output_dir my-gpt2",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};
