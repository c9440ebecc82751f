/* Options have the names and the meaning of a call of transformers' tokenizer. What is not given is as in
 * tokenizer.json. */
#include "api/encode.h"

#include <inttypes.h>

#include "base/err.h"
#include "base/log.h"

#define AT(member) offsetof(struct encode_values, member)

enum { PAD_NOT, PAD_LONGEST, PAD_FIXED };
enum { CUT_NOTHING = -1 };

static const char *const truncations[] = {
    "false", "true", "do_not_truncate", "longest_first", "only_first", "only_second", NULL
};
static const char *const paddings[] = { "false", "true", "max_length", "do_not_pad", "longest", NULL };
static const char *const sides[] = { "right", "left", NULL };

static const struct option encode_rows[] = {
    { "add_special_tokens", OPTION_BOOL, AT(special), "true",
      "add what the tokenizer adds to a text, such as </s>" },
    { "return_token_type_ids", OPTION_BOOL, AT(types), "false",
      "token types too: of the first text 0, of the second mostly 1" },
    { "truncation", OPTION_CHOICE, AT(truncation), NULL,
      "cut texts off at max_length; without it as tokenizer.json says", .choices = truncations },
    { "padding", OPTION_CHOICE, AT(padding), NULL,
      "fill texts up, to the longest or to max_length; without it as tokenizer.json says",
      .choices = paddings },
    { "max_length", OPTION_INT, AT(max_length), NULL,
      "tokens of a text, special ones included; without it the tokenizer's model_max_length", .min = 1,
      .max = 1 << 30 },
    { "pad_to_multiple_of", OPTION_INT, AT(multiple), NULL, "fill up to a multiple of it", .min = 1,
      .max = 1 << 20 },
    { "truncation_side", OPTION_CHOICE, AT(truncation_side), NULL,
      "where texts are cut off; without it as tokenizer_config.json says, or right", .choices = sides },
    { "padding_side", OPTION_CHOICE, AT(padding_side), NULL,
      "where texts are filled up; without it as tokenizer_config.json says, or right", .choices = sides },
    { 0 },
};

const struct option_part encode_parts[] = { { "Encoding", encode_rows, 0 }, { 0 } };

/* max_length, or what the tokenizer says itself; 0: nothing. */
static int64_t length_of(const struct encode_values *v, const struct tokenizer *t)
{
    int64_t own = tokenizer_max_length(t);

    if (v->max_length)
        return v->max_length;
    return own <= INT32_MAX ? own : 0;
}

static int take_truncation(const struct encode_values *v, const struct tokenizer *t, struct truncation *out)
{
    static const int cuts[] = { CUT_NOTHING,      TRUNCATE_LONGEST, CUT_NOTHING,
                                TRUNCATE_LONGEST, TRUNCATE_FIRST,   TRUNCATE_SECOND };
    bool left = out->left;

    if (v->truncation < 0)
        return OK;
    *out = (struct truncation){ .left = v->truncation_side >= 0 ? v->truncation_side == 1 : left };
    if (cuts[v->truncation] == CUT_NOTHING)
        return OK;
    out->strategy = (enum truncation_strategy)cuts[v->truncation];
    out->max_length = length_of(v, t);
    out->active = out->max_length > 0; /* transformers cuts nothing either, with a warning */
    return OK;
}

static int take_padding(const struct encode_values *v, const struct tokenizer *t, struct padding *out)
{
    static const int kinds[] = { PAD_NOT, PAD_LONGEST, PAD_FIXED, PAD_NOT, PAD_LONGEST };
    struct padding p = { .left = v->padding_side >= 0 ? v->padding_side == 1 : out->left,
                         .multiple = v->multiple,
                         .id = out->id };

    if (v->padding < 0)
        return OK;
    p.active = kinds[v->padding] != PAD_NOT;
    if (p.active && p.id < 0)
        return fail(
            ERR_CONFIG,
            "Asking to pad but the tokenizer does not have a padding token. Please select a token to use as "
            "`pad_token`");
    if (kinds[v->padding] == PAD_FIXED)
        p.fixed = length_of(v, t);
    if (kinds[v->padding] == PAD_FIXED && p.fixed == 0)
        return fail(ERR_USAGE, "--padding max_length: there is no max_length, and the tokenizer has none");
    *out = p;
    return OK;
}

/* As transformers: max_length alone cuts. */
static struct encode_values settle(const struct encode_values *given)
{
    struct encode_values v = *given;

    if (v.max_length > 0 && v.truncation < 0 && v.padding <= 0) {
        v.truncation = 1;
        note("Truncation was not explicitly activated but `max_length` is provided a specific value, please "
             "use `truncation=True` to explicitly truncate examples to max length");
    }
    return v;
}

int encode_texts(const struct encode_values *given, const struct tokenizer *t, const struct tok_input *texts,
                 size_t count, struct encode_result *out)
{
    const struct encode_values settled = settle(given), *v = &settled;
    const struct padding none = { 0 };
    struct truncation truncation, own_truncation;
    struct padding padding, own_padding;
    const struct encode_options o = {
        .no_special_tokens = !v->special, .types = v->types, .truncation = &truncation, .padding = &none
    };

    tokenizer_lengths(t, &truncation, &padding);
    own_truncation = truncation;
    own_padding = padding;
    if (v->truncation >= 0 || v->padding >= 0)
        tokenizer_sides(t, &own_truncation, &own_padding);
    truncation = v->truncation >= 0 ? own_truncation : truncation;
    padding = v->padding >= 0 ? own_padding : padding;
    TRY(take_truncation(v, t, &truncation));
    TRY(take_padding(v, t, &padding));
    TRY(tokenizer_encode_batch(t, texts, count, &o, out->list));
    for (size_t i = 0; i < count && out->lengths; i++)
        out->lengths[i] = out->list[i].count;
    encodings_pad(&padding, out->list, count);
    out->left = padding.left;
    return OK;
}
