/* Which data, and what is made of it. */
#include "data/objective.h"
#include "train/options.h"

#define AT(member) offsetof(struct input_options, member)
#define NAMES(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static const char *const bad_lines[] = { "stop", "skip", NULL };

const struct option input_train_options[] = {
    { "max_train_samples", OPTION_INT, AT(max_train_samples), NULL, "use only the first samples", .min = 1,
      .max = 1e15 },
    { 0 },
};

const struct option input_sample_options[] = {
    { "tokenizer_name", OPTION_STRING, AT(tokenizer_name), NULL,
      "directory with a tokenizer; without it the model's or the config's" },
    { "train_file", OPTION_LIST, AT(train_file), NULL,
      "text (.txt) or rows (.csv, .json, .jsonl), .gz and .zst of them; files, globs or - for text on "
      "standard input",
      .aliases = NAMES("data_files", "train_files") },
    { "text_column", OPTION_STRING, AT(text_column), NULL,
      "column of rows that is the text; without it text, then context, then the first that is not numeric",
      .aliases = NAMES("sentence1_key") },
    { "text_pair_column", OPTION_STRING, AT(text_pair_column), NULL,
      "column of a second text that belongs to the first, in classification; without both names sentence1 "
      "and sentence2, where rows have them",
      .aliases = NAMES("sentence2_key") },
    { "json_field", OPTION_STRING, AT(json_field), NULL,
      "member of a JSON object that is the array of rows" },
    { "block_size", OPTION_INT, AT(block_size), NULL,
      "tokens of a sample; without it what model and tokenizer take", .min = 2, .max = 1 << 24,
      .aliases = NAMES("max_seq_length", "context_length") },
    { "line_by_line", OPTION_BOOL, AT(line_by_line), "false",
      "one line or row a sample, cut off at block_size, instead of all tokens joined" },
    { "objective", OPTION_CHOICE, AT(objective), NULL,
      "what is learned; without it what the model's class is for", .choices = objective_names },
    { "mlm_probability", OPTION_DOUBLE, AT(mlm_probability), "0.15",
      "part of the tokens that is hidden, in masked language models and span corruption", .min = 1e-6,
      .max = 0.999 },
    { "mean_noise_span_length", OPTION_DOUBLE, AT(mean_noise_span_length), "3.0",
      "tokens of a span that span corruption cuts out", .min = 1, .max = 1e6 },
    { "source_column", OPTION_STRING, AT(source_column), NULL,
      "column of rows that is read; with target_column, objective seq2seq" },
    { "target_column", OPTION_STRING, AT(target_column), NULL,
      "column of rows that is to be written; a source has no loss" },
    { "source_prefix", OPTION_STRING, AT(source_prefix), NULL, "put before each source" },
    { "max_target_length", OPTION_INT, AT(max_target_length), NULL,
      "tokens of a target; without it block_size", .min = 1, .max = 1 << 24 },
    { "label_column", OPTION_STRING, AT(label_column), NULL,
      "column with the class of a row, a JSON array of several, or numbers; without it label, in "
      "classification" },
    { "document_mask", OPTION_BOOL, AT(document_mask), "false",
      "no attention across the documents of a joined sample, and positions start with each" },
    { "append_eos", OPTION_BOOL, AT(append_eos), "false", "the tokenizer's eos after each line or row" },
    { "keep_linebreaks", OPTION_BOOL, AT(keep_linebreaks), "true",
      "line breaks of text files are tokens too" },
    { "on_bad_line", OPTION_INT, AT(on_bad_line), "stop",
      "a row that cannot be read: stop, skip it, or skip up to N", .min = 0, .max = 1e15,
      .choices = bad_lines },
    { "overwrite_cache", OPTION_BOOL, AT(overwrite_cache), "false",
      "tokenize again, whatever is in the cache" },
    { 0 },
};

const struct option input_data_options[] = {
    { "validation_file", OPTION_LIST, AT(validation_file), NULL, "the same, for evaluation",
      .aliases = NAMES("validation_files") },
    { "dataset_name", OPTION_STRING, AT(dataset_name), NULL,
      "a path, or N where CACHE_DIR/N/C/{train,validation}* are files" },
    { "dataset_config_name", OPTION_STRING, AT(dataset_config_name), NULL, "the C of dataset_name" },
    { "validation_split_percentage", OPTION_INT, AT(validation_split_percentage), "5",
      "without validation_file: the first documents of train_file are held out", .min = 0, .max = 100 },
    { "max_eval_samples", OPTION_INT, AT(max_eval_samples), NULL, "evaluate only the first samples", .min = 1,
      .max = 1e15 },
    { "per_device_eval_batch_size", OPTION_INT, AT(per_device_eval_batch_size), "8",
      "samples that a data-parallel rank evaluates at once", .min = 1, .max = 1 << 20,
      .aliases = NAMES("per_gpu_eval_batch_size") },
    { 0 },
};

const struct option input_other_options[] = {
    { "pad_to_max_length", OPTION_NOTE,
      .help = "rows are packed: padding is never made and changes no result", .bare = true },
    { "train_ref_file", OPTION_NOTE, .help = "the scripts that have it do not read it either" },
    { "validation_ref_file", OPTION_NOTE, .help = "the scripts that have it do not read it either" },
    { "preprocessing_num_workers", OPTION_NOTE, .help = "all threads tokenize (--threads)" },
    { "dataloader_num_workers", OPTION_NOTE,
      .help = "samples are read from a mapped file: there is nothing to wait for" },
    { "dataloader_pin_memory", OPTION_NOTE, .help = "there is no device to copy to" },
    { "dataloader_persistent_workers", OPTION_NOTE, .help = "there are no workers" },
    { "dataloader_prefetch_factor", OPTION_NOTE, .help = "there are no workers" },
    { "dataloader_multiprocessing_context", OPTION_NOTE, .help = "there are no workers" },
    { "dataloader_in_order", OPTION_NOTE, .help = "samples always come in order" },
    { "remove_unused_columns", OPTION_NOTE, .help = "only input_ids and labels are read" },
    { "label_names", OPTION_NOTE, .help = "labels are called labels" },
    { "streaming", OPTION_NOTE, .help = "data is tokenized once and mapped, never held in memory",
      .bare = true },
    { "torch_dtype", OPTION_NOTE,
      .help = "weights are read in whatever type they have (--dtype is that of the computation)" },
    { "low_cpu_mem_usage", OPTION_NOTE, .help = "each rank reads its own part of the weights anyway",
      .bare = true },
    { "prediction_loss_only", OPTION_NOTE, .help = "evaluation computes the loss and nothing else",
      .bare = true },
    { "eval_accumulation_steps", OPTION_NOTE, .help = "no predictions are kept" },
    { "eval_do_concat_batches", OPTION_NOTE, .help = "no predictions are kept" },
    { "eval_use_gather_object", OPTION_NOTE, .help = "no predictions are kept" },
    { "include_for_metrics", OPTION_NOTE, .help = "no predictions are kept" },
    { "include_inputs_for_metrics", OPTION_NOTE, .help = "no predictions are kept", .bare = true },
    { "batch_eval_metrics", OPTION_NOTE, .help = "no predictions are kept", .bare = true },
    { "past_index", OPTION_NOTE, .help = "no model here has such a memory" },
    { "do_predict", OPTION_REFUSE, .help = "predictions come from plait generate and plait forward",
      .choices = NAMES("false"), .bare = true },
    { 0 },
};
