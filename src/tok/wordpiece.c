/* "WordPiece" (Schuster and Nakajima, "Japanese and Korean voice search", 2012; BERT's form of it): the
 * longest entry that the word begins with, then the longest that the rest begins with, among the entries
 * with the prefix of continuations, and so on. A word with a rest that begins with no entry, or with too many
 * characters, is unknown as a whole. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/encoding.h"
#include "tok/model.h"
#include "tok/prefix.h"
#include "tok/types.h"
#include "tok/word_cache.h"

struct wordpiece {
    struct prefix first, rest; /* entries, and those with the prefix of continuations, without it */
    char *unk_token, *continuing;
    int32_t unk_id;
    int64_t most; /* characters of a word */
};

struct scratch {
    struct word_cache cache;
    int32_t *ids;
    size_t *ends; /* of the ids' bytes in the word */
    size_t count, capacity, end_capacity;
};

static void wordpiece_release(void *state)
{
    struct wordpiece *m = state;

    prefix_release(&m->first);
    prefix_release(&m->rest);
    mem_free(m->unk_token);
    mem_free(m->continuing);
    mem_free(m);
}

/* ---- reading and writing ---- */

static void index_entries(struct wordpiece *m, const struct vocab *v)
{
    size_t skip = strlen(m->continuing);

    prefix_init(&m->first);
    prefix_init(&m->rest);
    for (size_t i = 0; i < v->ids.count; i++) {
        const struct map_entry *e = &v->ids.entries[i];
        prefix_add(&m->first, e->key, e->length, (int32_t)e->value);
        if (e->length > skip && memcmp(e->key, m->continuing, skip) == 0)
            prefix_add(&m->rest, e->key + skip, e->length - skip, (int32_t)e->value);
    }
}

static int wordpiece_read(struct wordpiece *m, const struct component_source *s, const struct node *n)
{
    static const char *const known[] = {
        "type", "vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", NULL
    };
    const struct node *vocab;
    const char *continuing = "##";

    TRY(node_require(s->tree, n, "vocab", JSON_OBJECT, &vocab));
    TRY(vocab_parse(s->vocab, s->tree, vocab));
    TRY(model_read_unk(s, n, "[UNK]", &m->unk_token, &m->unk_id));
    TRY(node_string(s->tree, n, "continuing_subword_prefix", &continuing));
    TRY(node_int(s->tree, n, "max_input_chars_per_word", 0, INT64_MAX, &m->most));
    node_warn_unknown(s->tree, n, known);
    m->continuing = mem_strdup(continuing);
    index_entries(m, s->vocab);
    return OK;
}

static int wordpiece_parse(const struct component_source *s, const struct node *n, void **state)
{
    struct wordpiece *m = mem_alloc(sizeof(*m));
    int status;

    m->most = 100;
    status = wordpiece_read(m, s, n);
    if (status == OK)
        *state = m;
    else
        wordpiece_release(m);
    return status;
}

static void wordpiece_write(const void *state, const struct vocab *vocab, struct json_writer *w)
{
    const struct wordpiece *m = state;

    model_write_text(w, "unk_token", m->unk_token);
    model_write_text(w, "continuing_subword_prefix", m->continuing);
    json_write_key(w, "max_input_chars_per_word");
    json_write_int(w, m->most);
    json_write_key(w, "vocab");
    vocab_write(vocab, w);
}

/* vocab.txt, a token a line, the line's number its id: ids have to be dense for it. */
static int wordpiece_save(const void *state, const struct vocab *vocab, const char *directory)
{
    size_t length;
    struct str s;
    int status;

    (void)state;
    if ((size_t)vocab->id_count != vocab->ids.count)
        return OK;
    str_init(&s);
    for (int32_t id = 0; id < vocab->id_count; id++) {
        const char *token = vocab_token(vocab, id, &length);
        str_append_bytes(&s, token, length);
        str_append_char(&s, '\n');
    }
    status = model_save_text(directory, "vocab.txt", &s);
    str_release(&s);
    return status;
}

/* ---- encoding ---- */

static void *scratch_create(const void *state)
{
    struct scratch *s = mem_alloc(sizeof(*s));

    (void)state;
    word_cache_init(&s->cache);
    return s;
}

static void scratch_free(void *scratch)
{
    struct scratch *s = scratch;

    word_cache_release(&s->cache);
    mem_free(s->ids);
    mem_free(s->ends);
    mem_free(s);
}

/* Whether the word has more than m->most characters. */
static bool is_long(const struct wordpiece *m, const struct piece *word)
{
    const char *p = word->bytes, *end = p + word->length;
    int64_t count = 0;

    if ((uint64_t)word->length <= (uint64_t)m->most)
        return false;
    for (; p < end && count <= m->most; count++)
        p += model_char_length(p, end);
    return count > m->most;
}

/* The end of the longest entry at `begin`, or begin. */
static size_t longest(const struct prefix *t, const struct piece *word, size_t begin, int32_t *id)
{
    const struct prefix_edge *edge;
    uint32_t node = PREFIX_ROOT;
    size_t end = begin;

    for (size_t i = begin; i < word->length; i++, node = edge->child) {
        edge = prefix_step(t, node, (uint8_t)word->bytes[i]);
        if (!edge)
            break;
        if (edge->value >= 0) {
            *id = edge->value;
            end = i + 1;
        }
    }
    return end;
}

static bool cut_word(const struct wordpiece *m, struct scratch *s, const struct piece *word)
{
    int32_t id = -1;

    s->count = 0;
    if (is_long(m, word))
        return false;
    for (size_t begin = 0, end; begin < word->length; begin = end) {
        end = longest(begin == 0 ? &m->first : &m->rest, word, begin, &id);
        if (end == begin)
            return false;
        s->ids = mem_grow(s->ids, s->count, &s->capacity, sizeof(*s->ids));
        s->ends = mem_grow(s->ends, s->count, &s->end_capacity, sizeof(*s->ends));
        s->ids[s->count] = id;
        s->ends[s->count++] = end;
    }
    return true;
}

static int wordpiece_encode(const void *state, void *scratch, const struct piece *word, struct encoding *out)
{
    const struct wordpiece *m = state;
    struct scratch *s = scratch;
    size_t begin = 0;

    if (word->length == 0 || word_cache_append(&s->cache, word->bytes, word->length, out))
        return OK;
    if (!cut_word(m, s, word)) {
        encoding_add(out, m->unk_id, piece_origin(word, 0, word->length));
        return OK;
    }
    for (size_t i = 0; i < s->count; begin = s->ends[i++])
        encoding_add(out, s->ids[i], piece_origin(word, begin, s->ends[i]));
    if (!out->spans)
        word_cache_put(&s->cache, word->bytes, word->length, s->ids, s->count);
    return OK;
}

static const struct model_ops ops = {
    .scratch_create = scratch_create,
    .scratch_free = scratch_free,
    .encode = wordpiece_encode,
    .write = wordpiece_write,
    .save = wordpiece_save,
};

const struct component_type model_wordpiece = {
    .name = "WordPiece",
    .parse = wordpiece_parse,
    .release = wordpiece_release,
    .model = &ops,
};
