/* How the program and the library are told what to generate: tables over generation_options. What is not
 * given comes from the model's generation_config.json. */
#include "api/generate_options.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

#define OWN(member)   offsetof(struct generate_values, member)
#define GIVEN(member) offsetof(struct generation_options, member)

static const char *const early_words[] = { "false", "true", "never", NULL }; /* enum early_stopping */

static const struct option run_options[] = {
    { "batch_size", OPTION_INT, OWN(batch_size), "8",
      "prompts at the same time, on each copy of the model; changes no result", .min = 1, .max = 1 << 16 },
    { "prefill_chunk_size", OPTION_INT, OWN(chunk), NULL, "tokens of prompts in one step; changes no result",
      .min = 1, .max = 1 << 20 },
    { "stop_strings", OPTION_LIST, OWN(stop_strings), NULL,
      "texts that end a sequence once they appear in it" },
    { "eos_token_id", OPTION_LIST, OWN(eos), NULL, "tokens that end a sequence" },
    { "pad_token_id", OPTION_INT, OWN(pad), NULL, "token put after the end of shorter sequences of a prompt",
      .min = 0, .max = INT32_MAX },
    { "bos_token_id", OPTION_INT, OWN(bos), NULL, "token that a prompt without tokens begins with", .min = 0,
      .max = INT32_MAX },
    { "decoder_start_token_id", OPTION_INT, OWN(decoder_start), NULL,
      "token that a decoder beside an encoder begins with", .min = 0, .max = INT32_MAX },
    { 0 },
};

/* Without values of their own: what is not given comes from generation_config.json. Ranges are checked
 * together. */
static const struct option given_options[] = {
    { "max_new_tokens", OPTION_INT, GIVEN(max_new_tokens), NULL,
      "tokens to generate; 20 without max_length" },
    { "max_length", OPTION_INT, GIVEN(max_length), NULL, "tokens of prompt and continuation together" },
    { "min_new_tokens", OPTION_INT, GIVEN(min_new_tokens), NULL, "no end before so many new tokens" },
    { "min_length", OPTION_INT, GIVEN(min_length), NULL,
      "no end before so many tokens, the prompt's included" },
    { "do_sample", OPTION_BOOL, GIVEN(do_sample), NULL, "draw tokens instead of taking the most probable" },
    { "temperature", OPTION_DOUBLE, GIVEN(temperature), NULL, "logits are divided by it (1.0)" },
    { "top_k", OPTION_INT, GIVEN(top_k), NULL,
      "draw among the k most probable tokens (50; 0: all); of a masked-LM model: fillings of a mask (5)" },
    { "top_p", OPTION_DOUBLE, GIVEN(top_p), NULL,
      "draw among the most probable tokens that together reach this probability (1.0)" },
    { "seed", OPTION_INT, GIVEN(seed), NULL,
      "draws are a function of it, of the prompt's number and the token's (42)", .min = 0, .max = INT32_MAX },
    { "num_beams", OPTION_INT, GIVEN(num_beams), NULL, "beams of beam search (1: none)" },
    { "length_penalty", OPTION_DOUBLE, GIVEN(length_penalty), NULL,
      "beam scores are divided by the new tokens to this power (1.0)" },
    { "early_stopping", OPTION_CHOICE, GIVEN(early_stopping), NULL,
      "when beam search is over: true, as soon as num_beams sequences have ended; false, when better ones "
      "are unlikely; never, when there can be none",
      .choices = early_words },
    { "num_return_sequences", OPTION_INT, GIVEN(num_return_sequences), NULL,
      "continuations of each prompt (1)" },
    { "repetition_penalty", OPTION_DOUBLE, GIVEN(repetition_penalty), NULL,
      "makes tokens that occurred before less probable (1.0: not)" },
    { "no_repeat_ngram_size", OPTION_INT, GIVEN(no_repeat_ngram_size), NULL,
      "no so many tokens in a row twice (0: any)" },
    { 0 },
};

#define REFUSED(name, why)               \
    {                                    \
        name, OPTION_REFUSE, .help = why \
    }
#define ONLY(name, neutral, why)                                           \
    {                                                                      \
        name, OPTION_REFUSE, .help = why, .choices = (const char *const[]) \
        {                                                                  \
            neutral, NULL                                                  \
        }                                                                  \
    }
#define NO_FILTER    "plait filters by temperature, top_k and top_p only"
#define NO_MODE      "plait has greedy search, sampling and beam search only"
#define NO_PROCESSOR "plait has no such change of the scores"

static const struct option other_options[] = {
    REFUSED("min_p", NO_FILTER),
    REFUSED("top_h", NO_FILTER),
    ONLY("typical_p", "1.0", NO_FILTER),
    ONLY("epsilon_cutoff", "0.0", NO_FILTER),
    ONLY("eta_cutoff", "0.0", NO_FILTER),
    REFUSED("penalty_alpha", NO_MODE),
    REFUSED("assistant_model", NO_MODE),
    REFUSED("prompt_lookup_num_tokens", NO_MODE),
    REFUSED("dola_layers", NO_MODE),
    ONLY("num_beam_groups", "1", NO_MODE),
    ONLY("diversity_penalty", "0.0", NO_MODE),
    REFUSED("constraints", NO_MODE),
    REFUSED("force_words_ids", NO_MODE),
    REFUSED("bad_words_ids", NO_PROCESSOR),
    REFUSED("sequence_bias", NO_PROCESSOR),
    REFUSED("suppress_tokens", NO_PROCESSOR),
    REFUSED("begin_suppress_tokens", NO_PROCESSOR),
    REFUSED("forced_bos_token_id", NO_PROCESSOR),
    REFUSED("forced_eos_token_id", NO_PROCESSOR),
    REFUSED("exponential_decay_length_penalty", NO_PROCESSOR),
    ONLY("guidance_scale", "1.0", NO_PROCESSOR),
    ONLY("encoder_repetition_penalty", "1.0", NO_PROCESSOR),
    ONLY("encoder_no_repeat_ngram_size", "0", NO_PROCESSOR),
    ONLY("renormalize_logits", "false", NO_PROCESSOR),
    REFUSED("max_time", "what comes out would depend on the machine"),
    { "use_cache", OPTION_NOTE, .help = "keys and values are always kept; the results are the same",
      .bare = true },
    { 0 },
};

const struct option_part generate_parts[] = {
    { "Running", run_options, 0 },
    { "Generation", given_options, offsetof(struct generate_values, given) },
    { "", other_options, 0 },
    { 0 },
};

/* ---- what they say ---- */

static int take_eos(const struct option_list *list, struct generation_options *o)
{
    if (list->count > GENERATION_MAX_EOS)
        return fail(ERR_USAGE, "--eos_token_id: too many tokens (found %zu, expected at most %d)",
                    list->count, GENERATION_MAX_EOS);
    for (size_t i = 0; i < list->count; i++) {
        char *end;
        long long id = strtoll(list->items[i], &end, 10);
        if (end == list->items[i] || *end || id < 0 || id > INT32_MAX)
            return fail(ERR_USAGE, "--eos_token_id: no token id (found \"%.40s\", expected 0 to %d)",
                        list->items[i], INT32_MAX);
        o->eos[i] = id;
    }
    o->eos_count = (int)list->count;
    return OK;
}

static void take_given(const struct generate_values *v, const struct options *seen,
                       struct generation_options *o)
{
    static const size_t bytes[] = { [OPTION_BOOL] = sizeof(bool),
                                    [OPTION_INT] = sizeof(int64_t),
                                    [OPTION_DOUBLE] = sizeof(double),
                                    [OPTION_CHOICE] = sizeof(int) };

    for (const struct option *x = given_options; x->name; x++)
        if (options_given(seen, x->name))
            memcpy((char *)o + x->offset, (const char *)&v->given + x->offset, bytes[x->type]);
    if (options_given(seen, "pad_token_id"))
        o->pad = v->pad;
    if (options_given(seen, "bos_token_id"))
        o->bos = v->bos;
    if (options_given(seen, "decoder_start_token_id"))
        o->decoder_start = v->decoder_start;
    if (v->stop_strings.count == 0)
        return;
    generation_options_release(o);
    for (size_t i = 0; i < v->stop_strings.count; i++)
        generation_options_add_stop(o, v->stop_strings.items[i], strlen(v->stop_strings.items[i]));
}

_Static_assert(sizeof(enum early_stopping) == sizeof(int), "a choice is stored as an int");

static void note_unused(const struct generation_options *o, const struct options *seen)
{
    static const char *const sampling[] = { "temperature", "top_k", "top_p", "seed" };
    static const char *const searching[] = { "length_penalty", "early_stopping" };

    for (int i = 0; i < 4 && !o->do_sample; i++)
        if (options_given(seen, sampling[i]))
            note("--%s: acts only with --do_sample", sampling[i]);
    for (int i = 0; i < 2 && o->num_beams == 1; i++)
        if (options_given(seen, searching[i]))
            note("--%s: acts only with --num_beams of 2 or more", searching[i]);
    if (o->max_new_tokens != INT_NONE && o->max_length != INT_NONE)
        warn("Both `max_new_tokens` (=%" PRId64 ") and `max_length`(=%" PRId64
             ") seem to have been set. `max_new_tokens` will take precedence",
             o->max_new_tokens, o->max_length);
}

static int check(const struct generation_options *o, const struct options *seen)
{
    int status = generation_options_check(o);

    for (const struct option *x = given_options; x->name && status == ERR_CONFIG; x++)
        if (options_given(seen, x->name))
            return ERR_USAGE;
    return status;
}

int generate_options_take(const struct generate_values *v, const struct options *seen, const struct model *m,
                          struct generation_options *out)
{
    int status;

    TRY(generation_options_load(out, m->has_weights ? m->directory : NULL, &m->config));
    take_given(v, seen, out);
    status = v->eos.count > 0 ? take_eos(&v->eos, out) : OK;
    if (status == OK)
        status = check(out, seen);
    if (status == OK)
        note_unused(out, seen);
    else
        generation_options_release(out);
    return status;
}

int64_t generate_fillings(const struct generate_values *v, const struct options *seen)
{
    enum { FILLINGS = 5 };

    for (const struct option *x = given_options; x->name; x++)
        if (strcmp(x->name, "top_k") != 0 && options_given(seen, x->name))
            note("--%s: changes nothing where masks are filled", x->name);
    return options_given(seen, "top_k") && v->given.top_k > 0 ? v->given.top_k : FILLINGS;
}
