/* "BPE": what tokenizer.json says of it, read and written. */
#include "tok/bpe_merge.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "tok/byte_level.h"
#include "tok/model.h"
#include "tok/tokenizer.h"
#include "tok/types.h"

static void bpe_release(void *state)
{
    struct bpe *b = state;

    mem_free(b->merges);
    mem_free(b->slots);
    mem_free(b->unk_token);
    mem_free(b->prefix);
    mem_free(b->suffix);
    mem_free(b);
}

/* ---- merges ---- */

struct part {
    const char *text;
    size_t length;
};

/* "a b", or ["a", "b"]. */
static int merge_parts(const struct tree *t, const struct node *n, struct part parts[2])
{
    const char *space;

    if (n->type == JSON_STRING) {
        space = memchr(n->text, ' ', n->length);
        if (!space || memchr(space + 1, ' ', n->length - (size_t)(space + 1 - n->text)))
            return node_fail(t, n, "expected two parts with one space between them");
        parts[0] = (struct part){ n->text, (size_t)(space - n->text) };
        parts[1] = (struct part){ space + 1, n->length - parts[0].length - 1 };
    } else {
        TRY(node_expect(t, n, JSON_ARRAY));
        if (n->count != 2)
            return node_fail(t, n, "%u parts (expected two)", n->count);
        TRY(node_expect(t, n->first, JSON_STRING));
        TRY(node_expect(t, n->first->next, JSON_STRING));
        parts[0] = (struct part){ n->first->text, n->first->length };
        parts[1] = (struct part){ n->first->next->text, n->first->next->length };
    }
    if (parts[0].length == 0 || parts[1].length == 0)
        return node_fail(t, n, "an empty part (expected two)");
    return OK;
}

static int merge_resolve(const struct bpe *b, const struct tree *t, const struct node *n,
                         const struct part parts[2], struct bpe_merge *m)
{
    size_t skip = b->prefix ? strlen(b->prefix) : 0;
    struct str joined;

    m->left = vocab_id(b->vocab, parts[0].text, parts[0].length);
    m->right = vocab_id(b->vocab, parts[1].text, parts[1].length);
    if (m->left < 0)
        return model_fail_token(t, n, "part", parts[0].text, parts[0].length);
    if (m->right < 0)
        return model_fail_token(t, n, "part", parts[1].text, parts[1].length);
    if (skip > parts[1].length)
        return node_fail(t, n, "the second part is shorter than continuing_subword_prefix");
    str_init(&joined);
    str_append_bytes(&joined, parts[0].text, parts[0].length);
    str_append_bytes(&joined, parts[1].text + skip, parts[1].length - skip);
    m->result = vocab_id(b->vocab, joined.data, joined.length);
    if (m->result < 0)
        model_fail_token(t, n, "result", joined.data, joined.length);
    str_release(&joined);
    return m->result < 0 ? ERR_DATA : OK;
}

static void slots_create(struct bpe *b, size_t count)
{
    size_t slots = 16;

    while (slots < count * 2)
        slots *= 2;
    b->slots = mem_alloc_array(slots, sizeof(*b->slots));
    b->slot_mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        b->slots[i].rank = BPE_NO_RANK;
}

static void slots_add(struct bpe *b, const struct bpe_merge *m, int32_t rank)
{
    uint64_t pair = (uint64_t)(uint32_t)m->left << 32 | (uint32_t)m->right, h = pair * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(h ^ h >> 32) & b->slot_mask;

    while (b->slots[i].rank != BPE_NO_RANK)
        i = (i + 1) & b->slot_mask;
    b->slots[i] = (struct bpe_slot){ .pair = pair, .rank = rank, .result = m->result };
}

static bool is_version(const struct node *n)
{
    return n->type == JSON_STRING && str_starts_with(n->text, "#version");
}

static int read_merges(struct bpe *b, const struct tree *t, const struct node *array)
{
    bool strings = array->first && array->first->type == JSON_STRING;
    struct part parts[2] = { 0 };

    b->merges = mem_alloc_array(array->count, sizeof(*b->merges));
    slots_create(b, array->count);
    for (const struct node *n = array->first; n; n = n->next) {
        struct bpe_merge *m = &b->merges[b->merge_count];
        if ((n->type == JSON_STRING) != strings)
            return node_fail(t, n, "mixed forms of merges (expected %s as in the first)",
                             strings ? "a string" : "an array");
        if (is_version(n))
            continue;
        TRY(merge_parts(t, n, parts));
        TRY(merge_resolve(b, t, n, parts, m));
        if (bpe_find(b, m->left, m->right))
            return node_fail(t, n, "this pair stands in the list already, at %d",
                             bpe_find(b, m->left, m->right)->rank);
        slots_add(b, m, b->merge_count++);
    }
    b->is_ordered = bpe_is_ordered(b->merges, b->merge_count, b->vocab->id_count);
    return OK;
}

/* ---- the rest ---- */

/* "<0x0A>" and the like: all of them there, none malformed. */
static int read_fallback(struct bpe *b, const struct component_source *s, const struct node *vocab)
{
    for (const struct node *n = vocab->first; n; n = n->next)
        TRY(model_check_byte_name(s->tree, n, n->key, n->key_length));
    return model_read_bytes(s, vocab, b->fallback_ids);
}

static void find_byte_ids(struct bpe *b)
{
    char form[4];

    b->has_bytes = true;
    for (int i = 0; i < 256; i++) {
        int n = utf8_encode(byte_level_char((uint8_t)i), form);
        b->byte_ids[i] = vocab_id(b->vocab, form, (size_t)n);
        if (b->byte_ids[i] < 0)
            b->has_bytes = false;
    }
    if (b->prefix || b->suffix)
        b->has_bytes = false;
}

static int read_affix(const struct tree *t, const struct node *n, const char *key, char **out)
{
    const char *text = NULL;

    TRY(node_string(t, n, key, &text));
    *out = text && *text ? mem_strdup(text) : NULL;
    return OK;
}

static int read_unk(struct bpe *b, const struct component_source *s, const struct node *n)
{
    const struct node *unk = node_get(n, "unk_token");

    b->unk_id = -1;
    if (!unk)
        return OK;
    TRY(node_expect(s->tree, unk, JSON_STRING));
    b->unk_token = mem_strdup(unk->text);
    b->unk_id = vocab_id(b->vocab, unk->text, unk->length);
    if (b->unk_id < 0 && !b->has_bytes)
        return model_fail_token(s->tree, unk, "the token", unk->text, unk->length);
    return OK;
}

static int read_dropout(struct bpe *b, const struct tree *t, const struct node *n)
{
    const struct node *dropout = node_get(n, "dropout");

    if (!dropout)
        return OK;
    TRY(node_to_double(t, dropout, &b->dropout));
    if (!(b->dropout >= 0 && b->dropout <= 1))
        return node_fail(t, dropout, "%.40s is out of range (expected 0 to 1)", dropout->text);
    return OK;
}

static int bpe_read(struct bpe *b, const struct component_source *s, const struct node *n)
{
    static const char *const known[] = { "type",
                                         "dropout",
                                         "unk_token",
                                         "continuing_subword_prefix",
                                         "end_of_word_suffix",
                                         "fuse_unk",
                                         "byte_fallback",
                                         "ignore_merges",
                                         "vocab",
                                         "merges",
                                         NULL };
    const struct node *vocab, *merges;

    TRY(node_require(s->tree, n, "vocab", JSON_OBJECT, &vocab));
    TRY(node_require(s->tree, n, "merges", JSON_ARRAY, &merges));
    TRY(vocab_parse(s->vocab, s->tree, vocab));
    TRY(read_dropout(b, s->tree, n));
    TRY(read_affix(s->tree, n, "continuing_subword_prefix", &b->prefix));
    TRY(read_affix(s->tree, n, "end_of_word_suffix", &b->suffix));
    find_byte_ids(b);
    TRY(read_unk(b, s, n));
    TRY(node_bool(s->tree, n, "fuse_unk", &b->fuse_unk));
    TRY(node_bool(s->tree, n, "byte_fallback", &b->byte_fallback));
    TRY(node_bool(s->tree, n, "ignore_merges", &b->ignore_merges));
    node_warn_unknown(s->tree, n, known);
    if (b->byte_fallback)
        TRY(read_fallback(b, s, vocab));
    return read_merges(b, s->tree, merges);
}

static int bpe_parse(const struct component_source *s, const struct node *n, void **state)
{
    struct bpe *b = mem_alloc(sizeof(*b));
    int status;

    b->vocab = s->vocab;
    status = bpe_read(b, s, n);
    if (status != OK) {
        bpe_release(b);
        return status;
    }
    *state = b;
    return OK;
}

/* ---- writing ---- */

static const struct map_entry *token_entry(const struct vocab *v, int32_t id)
{
    return &v->ids.entries[v->by_id[id] - 1];
}

static void write_merges(const struct bpe *b, struct json_writer *w)
{
    json_write_array_begin(w);
    for (int32_t i = 0; i < b->merge_count; i++) {
        const struct map_entry *left = token_entry(b->vocab, b->merges[i].left);
        const struct map_entry *right = token_entry(b->vocab, b->merges[i].right);
        json_write_array_begin(w);
        json_write_bytes(w, left->key, left->length);
        json_write_bytes(w, right->key, right->length);
        json_write_array_end(w);
    }
    json_write_array_end(w);
}

static void bpe_write(const void *state, const struct vocab *vocab, struct json_writer *w)
{
    const struct bpe *b = state;

    json_write_key(w, "dropout");
    if (b->dropout > 0)
        json_write_double(w, b->dropout);
    else
        json_write_null(w);
    model_write_text(w, "unk_token", b->unk_token);
    model_write_text(w, "continuing_subword_prefix", b->prefix);
    model_write_text(w, "end_of_word_suffix", b->suffix);
    model_write_flag(w, "fuse_unk", b->fuse_unk);
    model_write_flag(w, "byte_fallback", b->byte_fallback);
    model_write_flag(w, "ignore_merges", b->ignore_merges);
    json_write_key(w, "vocab");
    vocab_write(vocab, w);
    json_write_key(w, "merges");
    write_merges(b, w);
}

/* vocab.json and merges.txt. A token with a space or a line break in it has no place in merges.txt. */
static int bpe_save(const void *state, const struct vocab *vocab, const char *directory)
{
    const struct bpe *b = state;
    struct json_writer w;
    struct str s;
    int status;

    str_init(&s);
    json_writer_init(&w, &s, -1);
    vocab_write(vocab, &w);
    status = model_save_text(directory, "vocab.json", &s);
    str_clear(&s);
    str_append(&s, "#version: 0.2\n");
    for (int32_t i = 0; i < b->merge_count && status == OK; i++) {
        const struct map_entry *left = token_entry(vocab, b->merges[i].left);
        const struct map_entry *right = token_entry(vocab, b->merges[i].right);
        str_append_bytes(&s, left->key, left->length);
        str_append_char(&s, ' ');
        str_append_bytes(&s, right->key, right->length);
        str_append_char(&s, '\n');
    }
    if (status == OK)
        status = model_save_text(directory, "merges.txt", &s);
    str_release(&s);
    return status;
}

/* ---- the row ---- */

static const struct model_ops ops = {
    .scratch_create = bpe_scratch_create,
    .scratch_free = bpe_scratch_free,
    .encode = bpe_encode,
    .write = bpe_write,
    .save = bpe_save,
    .takes_bytes = true,
    .set_dropout = bpe_set_dropout,
};

const struct component_type model_bpe = {
    .name = "BPE",
    .parse = bpe_parse,
    .release = bpe_release,
    .model = &ops,
};

double tokenizer_dropout(const struct tokenizer *t)
{
    return t->model.type == &model_bpe ? ((const struct bpe *)t->model.state)->dropout : 0;
}
