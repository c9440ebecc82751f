/* tokenizer.json, byte 0xFF (which no JSON holds), then a text. What is taken must encode the text to the
 * same ids with and without spans, in one call and from the cache, decode them, and be the same tokenizer
 * once written and read. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "tok/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct encoding *a, const struct encoding *b)
{
    if (a->count != b->count || (a->count > 0 && memcmp(a->ids, b->ids, a->count * sizeof(*a->ids)) != 0))
        BUG("two ways to encode a text give different ids");
}

static void check_spans(const struct encoding *e, size_t length)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->spans[i].begin > e->spans[i].end || e->spans[i].end > length)
            BUG("a span from %u to %u in a text of %zu bytes", e->spans[i].begin, e->spans[i].end, length);
}

static void check_text(const struct tokenizer *t, const char *text, size_t length)
{
    struct encode_options options = { .spans = true };
    struct encoding first = { 0 }, again = { 0 }, spans = { 0 };
    struct encoder *e = encoder_create(t);
    struct str back;
    int status = tokenizer_encode(e, text, length, NULL, &first);

    str_init(&back);
    if (tokenizer_encode(e, text, length, NULL, &again) != status ||
        tokenizer_encode(e, text, length, &options, &spans) != status)
        BUG("a text is taken once and not again");
    check_same(&first, &again);
    check_same(&first, &spans);
    check_spans(&spans, length);
    if (tokenizer_decode(t, first.ids, first.count, false, &back) != OK && error_status() != ERR_DATA)
        BUG("ids that were just made cannot be decoded"); /* ERR_DATA: a pattern takes too long */
    if (utf8_valid_prefix(text, length) == length && utf8_valid_prefix(back.data, back.length) != back.length)
        BUG("decoding gives what is no UTF-8");
    str_release(&back);
    encoding_release(&first);
    encoding_release(&again);
    encoding_release(&spans);
    encoder_free(e);
}

/* The halves of a text, cut to a length: the same with and without types. */
static void check_pair(const struct tokenizer *t, const char *text, size_t length)
{
    const struct tok_input in = { { text, length / 2 }, { text + length / 2, length - length / 2 } };
    struct encode_options plain = { .max_length = 6 },
                          more = { .max_length = 6, .spans = true, .types = true };
    struct encoding first = { 0 }, again = { 0 };
    struct encoder *e = encoder_create(t);

    if (tokenizer_encode_pair(e, &in, &plain, &first) != tokenizer_encode_pair(e, &in, &more, &again))
        BUG("a pair is taken with types and not without");
    check_same(&first, &again);
    encoding_release(&first);
    encoding_release(&again);
    encoder_free(e);
}

static void check_written(const struct tokenizer *t)
{
    struct tokenizer *again = NULL;
    struct str s;

    str_init(&s);
    tokenizer_write(t, &s);
    if (tokenizer_parse("written", s.data, s.length, &again) != OK)
        BUG("what was written is not taken: %s", error_message());
    if (tokenizer_hash(again) != tokenizer_hash(t))
        BUG("another tokenizer after writing and reading");
    tokenizer_free(again);
    str_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data, *cut = size > 0 ? memchr(json, 0xFF, size) : NULL;
    size_t length = cut ? (size_t)(cut - json) : size;
    struct tokenizer *t = NULL;

    log_set_level(LOG_ERROR);
    if (tokenizer_parse("fuzz", json, length, &t) == OK) {
        const char *text = cut ? cut + 1 : json;
        size_t text_length = cut ? size - length - 1 : size;
        check_text(t, text, text_length);
        check_pair(t, text, text_length);
        check_written(t);
        tokenizer_free(t);
    }
    error_clear();
    return 0;
}
