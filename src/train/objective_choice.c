#include "train/objective_choice.h"

#include <string.h>

#include "base/err.h"
#include "data/cache.h"
#include "train/class_names.h"

/* ---- which ---- */

enum objective_kind objective_usual(const struct config *config)
{
    switch (config->head) {
    case HEAD_MASKED: return OBJECTIVE_MLM;
    case HEAD_CLASSIFICATION: return OBJECTIVE_CLASSIFICATION;
    case HEAD_CONDITIONAL: return OBJECTIVE_SPAN_CORRUPTION;
    default: break;
    }
    if (config->head == HEAD_NONE && config->def->encoder)
        return OBJECTIVE_SPAN_CORRUPTION;
    return config->head == HEAD_NONE && !config_is_causal(config) ? OBJECTIVE_MLM : OBJECTIVE_CLM;
}

static enum objective_kind choose(const struct input_options *in, const struct config *config)
{
    enum objective_kind usual;

    if (in->objective >= 0)
        return (enum objective_kind)in->objective;
    if (in->label_column)
        return OBJECTIVE_CLASSIFICATION;
    usual = objective_usual(config);
    if ((in->source_column || in->target_column) &&
        (usual == OBJECTIVE_SPAN_CORRUPTION || usual == OBJECTIVE_CLM))
        return OBJECTIVE_SEQ2SEQ;
    return usual;
}

static enum head_kind head_of(enum objective_kind kind, const struct config *config)
{
    switch (kind) {
    case OBJECTIVE_MLM: return HEAD_MASKED;
    case OBJECTIVE_SPAN_CORRUPTION: return HEAD_CONDITIONAL;
    case OBJECTIVE_CLASSIFICATION: return HEAD_CLASSIFICATION;
    case OBJECTIVE_CLM: return HEAD_CAUSAL;
    default: return config->def->encoder ? HEAD_CONDITIONAL : HEAD_CAUSAL;
    }
}

/* T5's decoder begins with the pad token. */
static int set_start(struct config *config)
{
    if (config->def->encoder && config->decoder_start == INT_NONE)
        TRY(config_set_int(config, "decoder_start_token_id", config->pad));
    return OK;
}

int objective_set_head(enum objective_kind kind, struct config *config)
{
    enum head_kind head = head_of(kind, config);

    if (head == HEAD_CAUSAL && config->head != HEAD_CAUSAL && !config_is_causal(config)) {
        fail(ERR_CONFIG, "--objective %s: a %s model does not go from what is before to what comes",
             objective_names[kind], config->def->name);
        if (!config->def->encoder)
            error_hint("--config_overrides is_decoder=true makes it a model that does");
        return ERR_CONFIG;
    }
    if (config->head != head && config_set_head(config, head) != OK) {
        error_prefix("--objective %s: ", objective_names[kind]);
        return ERR_CONFIG;
    }
    return set_start(config);
}

static int check_options(const struct objective_choice *c)
{
    const struct input_options *in = c->in;
    bool seq2seq = c->kind == OBJECTIVE_SEQ2SEQ;

    if ((in->source_column != NULL) != (in->target_column != NULL))
        return fail(ERR_USAGE, "--source_column and --target_column go together");
    if (in->source_column && !seq2seq)
        return fail(ERR_USAGE, "--source_column: objective %s has no targets (expected seq2seq)",
                    objective_names[c->kind]);
    if (in->source_prefix && !in->source_column)
        return fail(ERR_USAGE, "--source_prefix needs --source_column");
    if (in->label_column && c->kind != OBJECTIVE_CLASSIFICATION)
        return fail(ERR_USAGE,
                    "--label_column: objective %s has no labels of its own (expected classification)",
                    objective_names[c->kind]);
    if (in->text_pair_column && c->kind != OBJECTIVE_CLASSIFICATION)
        return fail(ERR_USAGE, "--text_pair_column: objective %s has no pairs (expected classification)",
                    objective_names[c->kind]);
    if (in->text_pair_column && !in->text_column)
        return fail(ERR_USAGE, "--text_pair_column needs --text_column");
    if (in->document_mask && c->kind != OBJECTIVE_CLM)
        return fail(ERR_USAGE, "--document_mask: is for objective clm (found %s)", objective_names[c->kind]);
    return OK;
}

/* ---- labels ---- */

static const char *label_column(const struct objective_choice *c)
{
    return c->in->label_column ? c->in->label_column : "label";
}

static int collect_labels(struct objective_choice *c)
{
    const struct source_options o = {
        .option = "train_file",
        .patterns = c->files->items,
        .pattern_count = c->files->count,
        .spool_directory = c->spool_directory,
        .columns = { [COLUMN_TEXT] = c->in->text_column, [COLUMN_LABEL] = label_column(c) },
        .json_field = c->in->json_field
    };

    return label_set_collect(&c->labels, &o);
}

/* A caller's own samples bring what a decoder writes, and a headless model has rows like others. */
static enum objective_kind choose_own(const struct objective_choice *c, const struct config *config)
{
    bool headless = config->head == HEAD_NONE || config->head == HEAD_ENCODER;
    enum objective_kind usual = choose(c->in, config);

    if (c->in->objective >= 0 || c->assumed)
        return usual;
    if (usual == OBJECTIVE_SPAN_CORRUPTION || (headless && config_has_encoder(config)))
        return OBJECTIVE_SEQ2SEQ;
    if (headless && c->own_loss)
        return config_is_causal(config) ? OBJECTIVE_CLM : OBJECTIVE_MLM;
    return usual;
}

static void take_config_labels(struct objective_choice *c, const struct config *config)
{
    bool numbers =
        config->problem == PROBLEM_REGRESSION || (config->problem == PROBLEM_UNSAID && config->labels == 1);

    c->labels.kind = numbers                                  ? LABEL_NUMBERS
                     : config->problem == PROBLEM_MULTI_LABEL ? LABEL_CLASSES
                                                              : LABEL_CLASS;
    c->labels.count = config->labels;
}

int objective_choice_settle(struct objective_choice *c, struct config *config, bool known)
{
    bool trained = known && config->head == HEAD_CLASSIFICATION;

    c->kind = c->own_samples ? choose_own(c, config) : choose(c->in, config);
    TRY(check_options(c));
    if (c->own_loss && c->in->objective < 0)
        TRY(set_start(config));
    else
        TRY(objective_set_head(c->kind, config));
    if (c->kind != OBJECTIVE_CLASSIFICATION)
        return OK;
    if (c->own_samples) {
        take_config_labels(c, config);
        return OK;
    }
    TRY(collect_labels(c));
    return class_names_settle(&c->labels, config, trained);
}

int objective_choice_unbound(struct objective_choice *c, struct model_def *def)
{
    const struct config config = { .def = def, .head = HEAD_CAUSAL };

    def->causal = true;
    c->kind = choose(c->in, &config);
    def->causal = c->kind != OBJECTIVE_MLM && c->kind != OBJECTIVE_CLASSIFICATION;
    def->encoder = c->kind == OBJECTIVE_SPAN_CORRUPTION;
    TRY(check_options(c));
    return c->kind == OBJECTIVE_CLASSIFICATION ? collect_labels(c) : OK;
}

void objective_choice_release(struct objective_choice *c)
{
    label_set_release(&c->labels);
}

/* ---- what it makes of samples ---- */

/* A caller's own samples may come with labels. */
static int need_mask(struct objective *o, const struct tokenizer *tokenizer, bool own_samples)
{
    o->mask = tokenizer ? tokenizer_special_id(tokenizer, TOK_MASK) : -1;
    if (o->mask >= 0 || own_samples)
        return OK;
    return fail(
        ERR_CONFIG,
        "This tokenizer does not have a mask token which is necessary for masked language modeling. You "
        "should pass `mlm=False` to train on causal language modeling instead.");
}

static void mark_special(struct objective *o, const struct tokenizer *tokenizer, struct arena *memory)
{
    bool *special = arena_alloc(memory, (size_t)o->vocab * sizeof(special[0]));

    for (int32_t id = 0; id < o->vocab; id++)
        special[id] = tokenizer_is_special(tokenizer, id);
    for (int part = 0; part < TOK_SPECIAL_COUNT; part++) {
        int32_t id = tokenizer_special_id(tokenizer, (enum tok_special)part);
        if (id >= 0 && id < o->vocab)
            special[id] = true;
    }
    o->special = special;
}

static int need_eos(struct objective *o, const struct config *config, const struct tokenizer *tokenizer)
{
    o->eos = tokenizer ? tokenizer_special_id(tokenizer, TOK_EOS) : -1;
    if (o->eos < 0 && config->eos_count > 0)
        o->eos = (int32_t)config->eos[0];
    return o->eos >= 0 ? OK : fail(ERR_CONFIG, "span_corruption: the tokenizer has no eos token");
}

/* A sequence is classified by the last of these that it has. */
static int need_class_eos(struct objective *o, const struct config *config)
{
    if (config->eos_count == 0)
        return fail(ERR_CONFIG, "%s: $.eos_token_id is missing", config->name);
    o->eos = (int32_t)config->eos[0];
    return OK;
}

static int need_start(struct objective *o, const struct config *config)
{
    int64_t id = config->decoder_start;

    if (id < 0 || id >= config->sizes.vocab)
        return fail(ERR_CONFIG, "%s: $.decoder_start_token_id is missing", config->name);
    o->decoder_start = (int32_t)id;
    return OK;
}

/* The sentinels of one sample must be tokens. */
static int check_spans(const struct objective *o, int64_t block_size)
{
    struct example_sizes sizes;
    int64_t tokens, targets, spans;

    span_lengths(block_size, o->noise, o->mean_span, &tokens, &targets);
    span_sizes(tokens, o->noise, o->mean_span, &sizes);
    if (tokens < 2 || targets > INT32_MAX)
        return fail(ERR_USAGE, "span_corruption: a block of %lld tokens cannot be cut into spans",
                    (long long)block_size);
    spans = (sizes.encoder_rows + sizes.rows - 2 - tokens) / 2; /* each in both, and every token in one */
    if (spans > o->vocab)
        return fail(ERR_USAGE, "span_corruption: %lld spans need as many tokens as sentinels (found %lld)",
                    (long long)spans, (long long)o->vocab);
    return OK;
}

int objective_choice_make(const struct objective_choice *c, const struct config *config,
                          const struct tokenizer *tokenizer, int64_t block_size, struct arena *memory,
                          struct objective *o)
{
    const struct input_options *in = c->in;

    *o = (struct objective){ .kind = c->kind,
                             .encoder = config_has_encoder(config),
                             .causal = config->def->causal,
                             .documents = in->document_mask,
                             .rows = block_size,
                             .vocab = tokenizer ? tokenizer_size(tokenizer) : config->sizes.vocab,
                             .noise = in->mlm_probability,
                             .mean_span = in->mean_noise_span_length,
                             .first_position = config->sizes.first_position };
    if (c->kind == OBJECTIVE_CLASSIFICATION && c->labels.kind == LABEL_CLASS)
        o->classes = c->labels.count;
    if (o->vocab > config->sizes.vocab)
        o->vocab = config->sizes.vocab;
    if (c->kind == OBJECTIVE_MLM) {
        TRY(need_mask(o, tokenizer, c->own_samples));
        if (tokenizer)
            mark_special(o, tokenizer, memory);
    }
    if (c->kind == OBJECTIVE_SPAN_CORRUPTION) {
        TRY(need_eos(o, config, tokenizer));
        TRY(check_spans(o, block_size));
    }
    if (c->kind == OBJECTIVE_CLASSIFICATION && o->encoder)
        TRY(need_class_eos(o, config));
    return o->encoder ? need_start(o, config) : OK;
}

void objective_choice_cache(const struct objective_choice *c, const struct config *config,
                            struct token_cache_options *o)
{
    const struct input_options *in = c->in;

    o->columns[COLUMN_TEXT] = in->text_column;
    o->json_field = in->json_field;
    /* Hugging Face's other scripts have no keep_linebreaks: their lines end before it. */
    o->drop_linebreaks = !in->keep_linebreaks || (c->kind != OBJECTIVE_CLM &&
                                                  !(c->given && options_given(c->given, "keep_linebreaks")));
    if (c->kind == OBJECTIVE_CLASSIFICATION) {
        o->rows = ROWS_CLASS;
        o->labels = &c->labels;
        o->columns[COLUMN_LABEL] = label_column(c);
        o->columns[COLUMN_TEXT_PAIR] = in->text_pair_column;
        o->sentences = true;
        o->pair_types = config->sizes.token_types > 1;
    }
    o->ids_only = c->kind == OBJECTIVE_SEQ2SEQ && !in->source_column;
    if (c->kind != OBJECTIVE_SEQ2SEQ || (!in->source_column && !config->def->encoder))
        return; /* without columns: rows of ids with labels */
    o->rows = ROWS_PAIR;
    o->columns[COLUMN_SOURCE] = in->source_column;
    o->columns[COLUMN_TARGET] = in->target_column;
    o->columns[COLUMN_TEXT] = NULL;
    o->source_prefix = in->source_prefix;
    o->bare_target = !config->def->encoder;
}
