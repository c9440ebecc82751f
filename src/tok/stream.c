/* Text as ids come in. A token's text may depend on the tokens before it and may end inside a character, so
 * the tokens of the piece written last are decoded once more before the new ones, and what follows them is
 * new. Where text is cleaned up, it comes in parts between which nothing could be cleaned. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/tokenizer.h"

enum { WAIT_MOST = 16 }; /* tokens kept back for the end of a character */

struct tok_stream {
    const struct tokenizer *tokenizer;
    bool skip_special;
    int32_t *ids; /* those of the last piece, then those not yet written */
    size_t count, capacity, written;
    struct str raw; /* text that is to be cleaned up */
};

struct tok_stream *tok_stream_create(const struct tokenizer *t, bool skip_special)
{
    struct tok_stream *s = mem_alloc(sizeof(*s));

    s->tokenizer = t;
    s->skip_special = skip_special;
    str_init(&s->raw);
    return s;
}

void tok_stream_free(struct tok_stream *s)
{
    if (!s)
        return;
    mem_free(s->ids);
    str_release(&s->raw);
    mem_free(s);
}

static bool ends_broken(const struct str *s)
{
    return str_ends_with(s->data, "\xEF\xBF\xBD");
}

/* Appends what is new, unless it ends inside a character and may wait. */
static int write_new(struct tok_stream *s, bool wait, struct str *out)
{
    struct str before, all;
    int status;

    str_init(&before);
    str_init(&all);
    status = tokenizer_decode_raw(s->tokenizer, s->ids, s->written, s->skip_special, &before);
    if (status == OK)
        status = tokenizer_decode_raw(s->tokenizer, s->ids, s->count, s->skip_special, &all);
    if (status == OK && all.length > before.length && !(wait && ends_broken(&all))) {
        str_append_bytes(out, all.data + before.length, all.length - before.length);
        s->count -= s->written;
        for (size_t i = 0; i < s->count; i++)
            s->ids[i] = s->ids[s->written + i];
        s->written = s->count;
    }
    str_release(&before);
    str_release(&all);
    return status;
}

/* The last blank between words that no rule for punctuation looks at, or 0. */
static size_t clean_end(const struct str *raw)
{
    for (size_t i = raw->length; i-- > 2;)
        if (raw->data[i - 1] == ' ' && !strchr(" .?!,'n", raw->data[i]) && !strchr(" '", raw->data[i - 2]))
            return i - 1;
    return 0;
}

/* Appends the first bytes of the raw text, cleaned up; the others stay. */
static void write_clean(struct tok_stream *s, size_t length, struct str *out)
{
    struct str text = s->raw;

    str_init(&s->raw);
    str_append_bytes(&s->raw, text.data + length, text.length - length);
    str_cut(&text, length);
    clean_up_spaces(&text, false);
    str_append_bytes(out, text.data, text.length);
    str_release(&text);
}

int tok_stream_add(struct tok_stream *s, int32_t id, struct str *out)
{
    bool clean = s->tokenizer->cleans_up;

    s->ids = mem_grow(s->ids, s->count, &s->capacity, sizeof(*s->ids));
    s->ids[s->count++] = id;
    TRY(write_new(s, s->count - s->written < WAIT_MOST, clean ? &s->raw : out));
    if (clean)
        write_clean(s, clean_end(&s->raw), out);
    return OK;
}

int tok_stream_finish(struct tok_stream *s, struct str *out)
{
    bool clean = s->tokenizer->cleans_up;
    int status = write_new(s, false, clean ? &s->raw : out);

    if (clean)
        write_clean(s, s->raw.length, out);
    s->count = s->written = 0;
    return status;
}
