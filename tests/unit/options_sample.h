/* The option tables that the tests of options share: every type, bounds, aliases, switches, notes, refusals.
 */
#ifndef PLAIT_TESTS_UNIT_OPTIONS_SAMPLE_H
#define PLAIT_TESTS_UNIT_OPTIONS_SAMPLE_H

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/options.h"

struct sample {
    bool shuffle, eval;
    int64_t steps, tp, free_int;
    double rate, ratio;
    const char *dir, *device, *details;
    struct option_list files, layers;
    int schedule, dtype;
};

static const char *const schedules[] = { "linear", "cosine", "cosine_with_restarts", "constant", NULL };
static const char *const dtypes[] = { "float32", "bfloat16", NULL };
static const char *const words[] = { "auto", "max", NULL };
static const char *const off[] = { "false", NULL };

static const struct option train_rows[] = {
    { "shuffle", OPTION_BOOL, offsetof(struct sample, shuffle), "true", "take samples in a random order" },
    { "do_eval", OPTION_BOOL, offsetof(struct sample, eval), "false", "evaluate" },
    { "max_steps", OPTION_INT, offsetof(struct sample, steps), "100", "optimizer steps", .min = 1,
      .max = 1e6 },
    { "tensor_parallel_size", OPTION_INT, offsetof(struct sample, tp), "auto", "ranks a layer is cut over",
      .min = 1, .choices = words },
    { "seed", OPTION_INT, offsetof(struct sample, free_int), NULL, "any number" },
    { "learning_rate", OPTION_DOUBLE, offsetof(struct sample, rate), "5e-5", "peak learning rate", .min = 0,
      .max = 1e9 },
    { "warmup_ratio", OPTION_DOUBLE, offsetof(struct sample, ratio), NULL, "share of the steps", .min = 0,
      .max = 1 },
    { NULL, OPTION_BOOL, 0, NULL, NULL },
};
static const struct option data_rows[] = {
    { "output_dir", OPTION_STRING, offsetof(struct sample, dir), NULL, "where results go",
      .aliases = (const char *const[]){ "workdir", NULL } },
    { "device", OPTION_STRING, offsetof(struct sample, device), "cpu", "cpu or cuda",
      .aliases = (const char *const[]){ "no_cuda=cpu", NULL } },
    { "train_file", OPTION_LIST, offsetof(struct sample, files), NULL, "files of text",
      .aliases = (const char *const[]){ "data_files", NULL } },
    { "layers", OPTION_LIST, offsetof(struct sample, layers), "a b", "names" },
    { "lr_scheduler_type", OPTION_CHOICE, offsetof(struct sample, schedule), "linear",
      "learning-rate schedule", .choices = schedules,
      .aliases = (const char *const[]){ "lr_schedule_type", NULL } },
    { "dtype", OPTION_CHOICE, offsetof(struct sample, dtype), NULL, "computation", .choices = dtypes,
      .aliases = (const char *const[]){ "bf16=bfloat16", NULL } },
    { "details", OPTION_STRING, offsetof(struct sample, details), NULL, "more", .json = true },
    { "report_to", OPTION_NOTE, 0, NULL, "event files are always written" },
    { "disable_tqdm", OPTION_NOTE, 0, NULL, "a bar is drawn on terminals alone", .bare = true },
    { "fsdp", OPTION_REFUSE, 0, NULL, "is not there, --zero_stage 3 does the same" },
    { "fp16", OPTION_REFUSE, 0, NULL, "float16 is not offered, take --dtype bfloat16", .choices = off,
      .bare = true },
    { NULL, OPTION_BOOL, 0, NULL, NULL },
};

struct fixture {
    struct sample s;
    struct options o;
    struct option_table tables[3];
};

static inline void begin(struct fixture *f)
{
    *f = (struct fixture){ .tables = { { "Training", train_rows, NULL }, { "Data", data_rows, NULL } } };
    f->tables[0].target = f->tables[1].target = &f->s;
    error_clear();
    options_init(&f->o, "train", f->tables);
}

/* Parses the words of one line, split at spaces; ~ stands for the empty word. */
static inline int parse(struct fixture *f, const char *line)
{
    static char buffer[1000];
    static char *argv[100];
    int argc = 0;
    snprintf(buffer, sizeof(buffer), "%s", line);
    for (char *save = NULL, *w = strtok_r(buffer, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(w, "~") == 0 ? w + 1 : w;
    return options_parse(&f->o, argc, argv);
}

struct refusal {
    const char *line, *message;
};

#endif
