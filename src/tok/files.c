/* vocab.json + merges.txt, GPT-2's own form, and vocab.txt, BERT's. They are checked where they stand, so
 * that messages name them, and then put together to a tokenizer.json that is read like any other. */
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "tok/tokenizer.h"
#include "tok/unicode.h"

struct line {
    const char *bytes, *space; /* space: between the parts */
    size_t length;
};

/* The next line without its end; false: no more. */
static bool next_line(const char **p, const char *end, struct line *out)
{
    const char *stop;

    if (*p >= end)
        return false;
    stop = memchr(*p, '\n', (size_t)(end - *p));
    out->bytes = *p;
    out->length = (size_t)((stop ? stop : end) - *p);
    if (out->length > 0 && out->bytes[out->length - 1] == '\r')
        out->length--;
    *p = stop ? stop + 1 : end;
    return true;
}

static int check_part(const struct vocab *v, const char *path, size_t number, const char *part, size_t length)
{
    struct str s;

    if (vocab_id(v, part, length) >= 0)
        return OK;
    str_init(&s);
    str_append_escaped(&s, part, length, 40);
    fail(ERR_DATA, "%s:%zu: \"%s\" is not in the vocabulary", path, number, s.data);
    str_release(&s);
    return ERR_DATA;
}

static int check_merge(const struct vocab *v, const char *path, size_t number, struct line *l)
{
    const char *space = memchr(l->bytes, ' ', l->length);
    size_t left = space ? (size_t)(space - l->bytes) : 0, right = l->length - left - 1;
    struct str joined;
    int status;

    if (!space || left == 0 || right == 0 || memchr(space + 1, ' ', right))
        return fail(ERR_DATA, "%s:%zu: expected two parts with one space between them", path, number);
    TRY(check_part(v, path, number, l->bytes, left));
    TRY(check_part(v, path, number, space + 1, right));
    str_init(&joined);
    str_append_bytes(&joined, l->bytes, left);
    str_append_bytes(&joined, space + 1, right);
    status = check_part(v, path, number, joined.data, joined.length);
    str_release(&joined);
    l->space = space;
    return status;
}

/* The lines of merges.txt as an array of pairs. Empty lines at the end are passed over. */
static int write_merges(const struct vocab *v, const char *path, const struct str *text,
                        struct json_writer *w)
{
    const char *p = text->data, *end = p + text->length;
    struct map seen;
    struct line l = { 0 };
    int status = OK;

    while (end > p && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    if (utf8_valid_prefix(p, (size_t)(end - p)) < (size_t)(end - p))
        return fail(ERR_DATA, "%s: not UTF-8 at byte %zu", path, utf8_valid_prefix(p, (size_t)(end - p)));
    map_init(&seen);
    json_write_array_begin(w);
    for (size_t number = 1; status == OK && next_line(&p, end, &l); number++) {
        if (l.length >= 8 && memcmp(l.bytes, "#version", 8) == 0)
            continue;
        status = check_merge(v, path, number, &l);
        if (status == OK && !map_add(&seen, l.bytes, l.length, (int64_t)number))
            status = fail(ERR_DATA, "%s:%zu: this pair stands in the list already, at line %lld", path,
                          number, (long long)map_find(&seen, l.bytes, l.length)->value);
        if (status != OK)
            break;
        json_write_array_begin(w);
        json_write_bytes(w, l.bytes, (size_t)(l.space - l.bytes));
        json_write_bytes(w, l.space + 1, l.length - (size_t)(l.space - l.bytes) - 1);
        json_write_array_end(w);
    }
    json_write_array_end(w);
    map_release(&seen);
    return status;
}

static int write_model(const char *vocab_path, const struct str *vocab, const char *merges_path,
                       const struct str *merges, struct str *out)
{
    struct json_writer w;
    struct vocab v;
    struct tree t;
    int status;

    TRY(tree_parse(&t, vocab_path, vocab->data, vocab->length));
    vocab_init(&v);
    status = vocab_parse(&v, &t, t.root);
    json_writer_init(&w, out, -1);
    json_write_object_begin(&w);
    json_write_key(&w, "model");
    json_write_object_begin(&w);
    json_write_key(&w, "type");
    json_write_string(&w, "BPE");
    json_write_key(&w, "vocab");
    vocab_write(&v, &w);
    json_write_key(&w, "merges");
    if (status == OK)
        status = write_merges(&v, merges_path, merges, &w);
    if (status == OK) {
        json_write_object_end(&w);
        json_write_object_end(&w);
    }
    vocab_release(&v);
    tree_release(&t);
    return status;
}

static int read_model(const char *directory, struct str *out)
{
    char *vocab_path = path_join(directory, "vocab.json"), *merges_path = path_join(directory, "merges.txt");
    struct str vocab, merges;
    int status;

    str_init(&vocab);
    str_init(&merges);
    status = file_read(vocab_path, 0, &vocab);
    if (status == OK)
        status = file_read(merges_path, 0, &merges);
    if (status == OK)
        status = write_model(vocab_path, &vocab, merges_path, &merges, out);
    str_release(&vocab);
    str_release(&merges);
    mem_free(vocab_path);
    mem_free(merges_path);
    return status;
}

int tokenizer_load_bpe(const char *directory, struct tokenizer **out)
{
    struct str json;
    int status;

    str_init(&json);
    status = read_model(directory, &json);
    if (status == OK)
        status = tokenizer_parse(directory, json.data, json.length, out);
    str_release(&json);
    return status;
}

/* ---- vocab.txt ---- */

/* A line without white space at its end, as tokenizers reads it. */
static void trim_end(struct line *l)
{
    while (l->length > 0) {
        size_t n = 1;
        uint32_t c;
        while (n < l->length && n < 4 && ((unsigned char)l->bytes[l->length - n] & 0xC0) == 0x80)
            n++;
        if (utf8_decode(l->bytes + l->length - n, l->bytes + l->length, &c) != (int)n ||
            !(unicode_class(c) & UNICODE_SPACE))
            return;
        l->length -= n;
    }
}

/* A token's id is its line; of lines that are the same the last one counts. */
static int read_tokens(const char *path, const struct str *text, struct map *ids)
{
    const char *p = text->data, *end = p + text->length;
    size_t valid = utf8_valid_prefix(p, text->length);
    struct line l = { 0 };
    int64_t id = 0;

    if (valid < text->length)
        return fail(ERR_DATA, "%s: not UTF-8 at byte %zu", path, valid);
    for (; next_line(&p, end, &l); id++) {
        if (id >= INT32_MAX)
            return fail(ERR_DATA, "%s: more than %d lines", path, INT32_MAX);
        trim_end(&l);
        map_set(ids, l.bytes, l.length, id);
    }
    return OK;
}

static void write_tokens(const struct map *ids, const char *unk, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, -1);
    json_write_object_begin(&w);
    json_write_key(&w, "model");
    json_write_object_begin(&w);
    json_write_key(&w, "type");
    json_write_string(&w, "WordPiece");
    json_write_key(&w, "unk_token");
    json_write_string(&w, unk);
    json_write_key(&w, "vocab");
    json_write_object_begin(&w);
    for (size_t i = 0; i < ids->count; i++) {
        json_write_key_bytes(&w, ids->entries[i].key, ids->entries[i].length);
        json_write_int(&w, ids->entries[i].value);
    }
    json_write_object_end(&w);
    json_write_object_end(&w);
    json_write_object_end(&w);
}

int tokenizer_load_wordpiece(const char *path, const char *unk, struct tokenizer **out)
{
    struct str text, json;
    struct map ids;
    int status;

    str_init(&text);
    str_init(&json);
    map_init(&ids);
    status = file_read(path, 0, &text);
    if (status == OK)
        status = read_tokens(path, &text, &ids);
    if (status == OK && !map_find(&ids, unk, strlen(unk)))
        status = fail(ERR_DATA, "%s: the token \"%s\" is missing (expected it in a vocabulary of WordPiece)",
                      path, unk);
    if (status == OK) {
        write_tokens(&ids, unk, &json);
        status = tokenizer_parse(path, json.data, json.length, out);
    }
    map_release(&ids);
    str_release(&text);
    str_release(&json);
    return status;
}
