/* Bytes as a SentencePiece model. What is taken must make a tokenizer.json that is taken, and the tokenizer
 * must encode the pieces themselves. */
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "tok/spm.h"
#include "tok/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pieces(const struct spm *s, const struct tokenizer *t)
{
    struct encoder *e = encoder_create(t);
    struct encoding out = { 0 };

    for (size_t i = 0; i < s->count; i++) {
        out.count = 0;
        if (tokenizer_encode(e, s->pieces[i].text.bytes, s->pieces[i].text.length, NULL, &out) != OK)
            BUG("a piece cannot be encoded: %s", error_message());
        for (size_t k = 0; k < out.count; k++)
            if (out.ids[k] < 0 || out.ids[k] >= tokenizer_id_limit(t))
                BUG("id %d", out.ids[k]);
    }
    encoding_release(&out);
    encoder_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *t = NULL;
    struct str json;
    struct spm s;

    log_set_level(LOG_ERROR);
    str_init(&json);
    if (spm_read(&s, "fuzz", data, size) == OK) {
        const struct spm_json_options o = { .model = s.model,
                                            .byte_fallback = s.byte_fallback,
                                            .unk_id = s.unk_id };
        if (spm_write_json(&s, &o, &json) == OK) {
            if (tokenizer_parse("fuzz", json.data, json.length, &t) != OK)
                BUG("what is made of a model is not taken: %s", error_message());
            check_pieces(&s, t);
            tokenizer_free(t);
        }
    }
    spm_release(&s);
    str_release(&json);
    error_clear();
    return 0;
}
