/* "WordLevel": a word is a token, or it is unknown. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/encoding.h"
#include "tok/model.h"
#include "tok/types.h"

struct wordlevel {
    const struct vocab *vocab;
    char *unk_token;
    int32_t unk_id;
};

static void wordlevel_release(void *state)
{
    struct wordlevel *m = state;

    mem_free(m->unk_token);
    mem_free(m);
}

static int wordlevel_read(struct wordlevel *m, const struct component_source *s, const struct node *n)
{
    static const char *const known[] = { "type", "vocab", "unk_token", NULL };
    const struct node *vocab;

    TRY(node_require(s->tree, n, "vocab", JSON_OBJECT, &vocab));
    TRY(vocab_parse(s->vocab, s->tree, vocab));
    TRY(model_read_unk(s, n, "<unk>", &m->unk_token, &m->unk_id));
    node_warn_unknown(s->tree, n, known);
    return OK;
}

static int wordlevel_parse(const struct component_source *s, const struct node *n, void **state)
{
    struct wordlevel *m = mem_alloc(sizeof(*m));
    int status;

    m->vocab = s->vocab;
    status = wordlevel_read(m, s, n);
    if (status == OK)
        *state = m;
    else
        wordlevel_release(m);
    return status;
}

static int wordlevel_encode(const void *state, void *scratch, const struct piece *word, struct encoding *out)
{
    const struct wordlevel *m = state;
    int32_t id = vocab_id(m->vocab, word->bytes, word->length);

    (void)scratch;
    if (word->length > 0)
        encoding_add(out, id >= 0 ? id : m->unk_id, piece_origin(word, 0, word->length));
    return OK;
}

static void wordlevel_write(const void *state, const struct vocab *vocab, struct json_writer *w)
{
    const struct wordlevel *m = state;

    json_write_key(w, "vocab");
    vocab_write(vocab, w);
    model_write_text(w, "unk_token", m->unk_token);
}

static int wordlevel_save(const void *state, const struct vocab *vocab, const char *directory)
{
    struct json_writer w;
    struct str s;
    int status;

    (void)state;
    str_init(&s);
    json_writer_init(&w, &s, -1);
    vocab_write(vocab, &w);
    status = model_save_text(directory, "vocab.json", &s);
    str_release(&s);
    return status;
}

static const struct model_ops ops = {
    .encode = wordlevel_encode,
    .write = wordlevel_write,
    .save = wordlevel_save,
};

const struct component_type model_wordlevel = {
    .name = "WordLevel",
    .parse = wordlevel_parse,
    .release = wordlevel_release,
    .model = &ops,
};
