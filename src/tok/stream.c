/* Text as ids come in. A token's text may depend on the tokens before it and may end inside a character, so
 * the tokens of the piece written last are decoded once more before the new ones, and what follows them is
 * new. */
#include "base/err.h"
#include "base/mem.h"
#include "tok/tok.h"

enum { WAIT_MOST = 16 }; /* tokens kept back for the end of a character */

struct tok_stream {
    const struct tokenizer *tokenizer;
    bool skip_special;
    int32_t *ids; /* those of the last piece, then those not yet written */
    size_t count, capacity, written;
};

struct tok_stream *tok_stream_create(const struct tokenizer *t, bool skip_special)
{
    struct tok_stream *s = mem_alloc(sizeof(*s));

    s->tokenizer = t;
    s->skip_special = skip_special;
    return s;
}

void tok_stream_free(struct tok_stream *s)
{
    if (!s)
        return;
    mem_free(s->ids);
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
    status = tokenizer_decode(s->tokenizer, s->ids, s->written, s->skip_special, &before);
    if (status == OK)
        status = tokenizer_decode(s->tokenizer, s->ids, s->count, s->skip_special, &all);
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

int tok_stream_add(struct tok_stream *s, int32_t id, struct str *out)
{
    s->ids = mem_grow(s->ids, s->count, &s->capacity, sizeof(*s->ids));
    s->ids[s->count++] = id;
    return write_new(s, s->count - s->written < WAIT_MOST, out);
}

int tok_stream_finish(struct tok_stream *s, struct str *out)
{
    int status = write_new(s, false, out);

    s->count = s->written = 0;
    return status;
}
