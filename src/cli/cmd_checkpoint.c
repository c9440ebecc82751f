/* plait checkpoint merge, shard, verify, list -- checkpoints on disk, whatever layout has written them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/checkpoint.h"
#include "ckpt/faults.h"
#include "ckpt/merge.h"
#include "ckpt/pieces.h"
#include "ckpt/trainer_state.h"
#include "cli/cli.h"

/* The one word that the command takes. */
static int take_word(const struct options *o, const char *what, const char **out)
{
    if (o->positional.count == 0)
        return fail(ERR_USAGE, "%s: which one is missing (expected %s)", o->command, what);
    if (o->positional.count > 1)
        return fail(ERR_USAGE, "%s: one thing at a time (found \"%s\" too)", o->command,
                    o->positional.items[1]);
    *out = o->positional.items[0];
    return OK;
}

/* ---- merge ---- */

struct merge_values {
    const char *output_dir, *max_shard_size;
};

static const struct option merge_options_table[] = {
    { "output_dir", OPTION_STRING, offsetof(struct merge_values, output_dir), NULL,
      "directory for what transformers opens; it may be that of the checkpoint" },
    { "max_shard_size", OPTION_STRING, offsetof(struct merge_values, max_shard_size), "50GB",
      "weights larger than this are split over several files" },
    { 0 },
};

static const struct option_part merge_parts[] = { { "Merging", merge_options_table, 0 },
                                                  { "", no_compute_options, 0 },
                                                  { 0 } };

static void tell(const char *directory, const struct merge_result *r)
{
    inform("%s: %zu tensors of %zu file%s%s", directory, r->tensors, r->files, r->files == 1 ? "" : "s",
           r->state ? ", and the state of a run, which can go on from there" : "; no state of a run");
}

static int run_merge(void *values, struct options *o)
{
    const struct merge_values *v = values;
    struct merge_options merge = { .state = true };
    struct merge_result result;
    const char *source = NULL;

    TRY(take_word(o, "a sharded checkpoint", &source));
    TRY(require_text("output_dir", v->output_dir));
    TRY(parse_bytes("max_shard_size", v->max_shard_size, &merge.max_shard_bytes));
    TRY(merge_checkpoint(source, v->output_dir, &merge, &result));
    tell(v->output_dir, &result);
    return OK;
}

const struct command command_checkpoint_merge = {
    .name = "checkpoint merge",
    .summary = "make a sharded checkpoint whole, as transformers opens it",
    .example = "plait checkpoint merge run/checkpoint-900 --output_dir whole",
    .parts = merge_parts,
    .bytes = sizeof(struct merge_values),
    .takes_words = true,
    .run = run_merge,
};

/* ---- shard ---- */

struct shard_values {
    const char *output_dir;
    int64_t tensor, pipeline;
};

static const struct option shard_options_table[] = {
    { "output_dir", OPTION_STRING, offsetof(struct shard_values, output_dir), NULL,
      "directory for the pieces; it may be that of the source" },
    { "tensor_parallel_size", OPTION_INT, offsetof(struct shard_values, tensor), "1",
      "ranks among which each layer is divided", .min = 1, .max = 1 << 10 },
    { "pipeline_parallel_size", OPTION_INT, offsetof(struct shard_values, pipeline), "1",
      "stages of consecutive layers", .min = 1, .max = 1 << 10 },
    { 0 },
};

static const struct option_part shard_parts[] = { { "Sharding", shard_options_table, 0 },
                                                  { "", no_compute_options, 0 },
                                                  { 0 } };

static int run_shard(void *values, struct options *o)
{
    const struct shard_values *v = values;
    const struct mesh mesh = { .size = { 1, (int)v->tensor, (int)v->pipeline } };
    const struct merge_options merge = { .mesh = &mesh, .state = true };
    struct merge_result result;
    const char *source = NULL;

    TRY(take_word(o, "a model directory or a checkpoint", &source));
    TRY(require_text("output_dir", v->output_dir));
    TRY(merge_checkpoint(source, v->output_dir, &merge, &result));
    tell(v->output_dir, &result);
    return OK;
}

const struct command command_checkpoint_shard = {
    .name = "checkpoint shard",
    .summary = "write a model or checkpoint in the pieces of a layout's ranks",
    .example = "plait checkpoint shard llama-13b --tensor_parallel_size 4 --pipeline_parallel_size 2 "
               "--output_dir pieces",
    .parts = shard_parts,
    .bytes = sizeof(struct shard_values),
    .takes_words = true,
    .run = run_shard,
};

/* ---- verify ---- */

static const struct option_part no_parts[] = { { "", no_compute_options, 0 }, { 0 } };

static void append_fault(void *context, const char *sentence)
{
    str_appendf(context, "%s\n", sentence);
}

static void append_found(struct str *out, const char *directory, const struct faults *f)
{
    str_appendf(out, "%s: %zu tensors in %zu file%s of weights", directory, f->tensors, f->weights_files,
                f->weights_files == 1 ? "" : "s");
    if (f->state)
        str_append(out, ", state of a run");
    if (f->manifest) {
        str_appendf(out, "; %zu files, ", f->files);
        str_append_bytes_human(out, (double)f->bytes);
        str_append(out, ", every byte as the manifest has it\n");
    } else {
        str_append(out, "; no manifest, so sizes and checksums are not known\n");
    }
}

static int run_verify(void *values, struct options *o)
{
    const char *directory = NULL;
    struct faults f;
    struct str out;
    int status;

    (void)values;
    TRY(take_word(o, "a checkpoint or a model directory", &directory));
    str_init(&out);
    status = faults_find(directory, append_fault, &out, &f);
    if (status == OK && f.count == 0)
        append_found(&out, directory, &f);
    if (status == OK)
        status = write_text(NULL, &out);
    if (status == OK && f.count > 0)
        status = fail(ERR_DATA, "%s: %zu fault%s", directory, f.count, f.count == 1 ? "" : "s");
    str_release(&out);
    return status;
}

const struct command command_checkpoint_verify = {
    .name = "checkpoint verify",
    .summary = "read every byte of a checkpoint, and say what is wrong with it",
    .example = "plait checkpoint verify run/checkpoint-900",
    .parts = no_parts,
    .takes_words = true,
    .run = run_verify,
};

/* ---- list: by the sizes of files; their bytes are for verify ---- */

/* "data 2 x tensor 4". */
static void append_sizes(struct str *out, int dp, int tp, int pp)
{
    const int sizes[] = { dp, tp, pp };
    static const char *const names[] = { "data", "tensor", "pipeline" };
    size_t before = out->length;

    for (int a = 0; a < 3; a++)
        if (sizes[a] > 1)
            str_appendf(out, "%s%s %d", out->length > before ? " x " : "", names[a], sizes[a]);
    if (out->length == before)
        str_append(out, "1 rank");
}

struct found {
    int pieces;               /* of the weights; 0: they are whole */
    struct pieces_place most; /* of any piece */
};

static struct found find_pieces(const struct manifest *m)
{
    struct found f = { 0 };

    for (size_t i = 0; i < m->count; i++) {
        struct pieces_place p;
        bool weights = pieces_is_name(m->files[i].name, "model", &p);
        if (!weights && !pieces_is_name(m->files[i].name, "optimizer", &p))
            continue;
        f.pieces += weights;
        f.most.tp = p.tp > f.most.tp ? p.tp : f.most.tp;
        f.most.pp = p.pp > f.most.pp ? p.pp : f.most.pp;
        f.most.dp = p.dp > f.most.dp ? p.dp : f.most.dp;
    }
    return f;
}

/* The ranks that have written it: as their run has told, or from the names of pieces. */
static void append_layout(struct str *out, const struct manifest *m, const struct found *f)
{
    const char *layout = manifest_note(m, "layout");
    int dp, tp, pp;

    if (layout && sscanf(layout, "data %7d, tensor %7d, pipeline %7d", &dp, &tp, &pp) == 3)
        append_sizes(out, dp, tp, pp);
    else if (f->pieces > 0)
        append_sizes(out, f->most.dp + 1, f->most.tp + 1, f->most.pp + 1);
    else
        str_append(out, "-");
}

static void append_date(struct str *out, const char *checkpoint)
{
    char *path = path_join(checkpoint, MANIFEST_NAME), text[32] = "-";
    struct stat info;
    struct tm t;

    if (stat(path, &info) == 0 && localtime_r(&info.st_mtime, &t))
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &t);
    str_append(out, text);
    mem_free(path);
}

static void append_good(struct str *out, const struct checkpoint_entry *e, const struct manifest *m)
{
    struct found f = find_pieces(m);
    struct str size, weights, layout;
    double bytes = 0;

    str_init(&size);
    str_init(&weights);
    str_init(&layout);
    for (size_t i = 0; i < m->count; i++)
        bytes += (double)m->files[i].bytes;
    str_append_bytes_human(&size, bytes);
    if (f.pieces > 0)
        str_appendf(&weights, "%d piece%s", f.pieces, f.pieces > 1 ? "s" : "");
    else
        str_append(&weights, "whole");
    append_layout(&layout, m, &f);
    str_appendf(out, "%10" PRId64 "  %9s  %-10s  %-30s  ", e->step, size.data, weights.data, layout.data);
    append_date(out, e->path);
    str_append(out, manifest_find(m, TRAINER_STATE_NAME) ? "  good\n" : "  good, model only\n");
    str_release(&size);
    str_release(&weights);
    str_release(&layout);
}

static void append_checkpoint(struct str *out, const struct checkpoint_entry *e)
{
    struct manifest m;

    if (checkpoint_verify(e->path, CHECKPOINT_SIZES, &m) != OK) {
        str_appendf(out, "%10" PRId64 "  damaged: %s\n", e->step, error_message());
        error_clear();
        return;
    }
    append_good(out, e, &m);
    manifest_release(&m);
}

static int run_list(void *values, struct options *o)
{
    const char *directory = NULL;
    struct checkpoint_list list;
    struct str out;
    int status;

    (void)values;
    TRY(take_word(o, "the output directory of a run", &directory));
    if (!file_is_directory(directory))
        return fail(ERR_OPEN, "%s: no such directory", directory);
    TRY(checkpoint_list_load(&list, directory));
    if (list.count == 0)
        return fail(ERR_OPEN, "%s: no checkpoints in it (expected checkpoint-STEP)", directory);
    str_init(&out);
    str_appendf(&out, "%10s  %9s  %-10s  %-30s  %-19s  %s\n", "step", "size", "weights", "written by",
                "saved", "files");
    for (size_t i = 0; i < list.count; i++)
        append_checkpoint(&out, &list.items[i]);
    status = write_text(NULL, &out);
    str_release(&out);
    checkpoint_list_release(&list);
    return status;
}

const struct command command_checkpoint_list = {
    .name = "checkpoint list",
    .summary =
        "the checkpoints of a run: step, size, whole or in pieces, by which ranks and when they were saved",
    .example = "plait checkpoint list run",
    .parts = no_parts,
    .takes_words = true,
    .run = run_list,
};
