/* Components of tokenizer.json against the goldens of tests/oracle/components.py: ids of hard lines by hash,
 * and texts of lists of tokens; spans, in what they have to hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "tok/tok.h"
#include "tok/tree.h"

#include <cmocka.h>

#define GOLD GOLDEN_DIR "/components"

/* ---- files of JSON lines, held as one tree ---- */

struct document {
    struct str text;
    struct tree tree;
};

/* {"lines": [...]} of a file. */
static void document_read(struct document *d, const char *path)
{
    struct str lines;

    str_init(&lines);
    str_init(&d->text);
    assert_int_equal(file_read(path, 0, &lines), OK);
    assert_true(lines.length > 0 && lines.data[lines.length - 1] == '\n');
    str_append(&d->text, "{\"lines\":[");
    for (size_t i = 0; i + 1 < lines.length; i++)
        str_append_char(&d->text, lines.data[i] == '\n' ? ',' : lines.data[i]);
    str_append(&d->text, "]}");
    str_release(&lines);
    if (tree_parse(&d->tree, path, d->text.data, d->text.length) != OK)
        fail_msg("%s", error_message());
}

static void document_release(struct document *d)
{
    tree_release(&d->tree);
    str_release(&d->text);
}

static const struct node *document_lines(const struct document *d)
{
    const struct node *lines = node_get(d->tree.root, "lines");

    assert_non_null(lines);
    return lines->first;
}

static struct tokenizer *parse(const char *name, const struct str *json)
{
    struct tokenizer *t = NULL;

    if (tokenizer_parse(name, json->data, json->length, &t) != OK)
        fail_msg("%s", error_message());
    return t;
}

/* ---- encoding ---- */

/* FNV-1a, folded */
static uint32_t hash_values(uint32_t h, const int32_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int shift = 0; shift < 32; shift += 8)
            h = (h ^ ((uint32_t)values[i] >> shift & 0xFF)) * 0x01000193u;
    return h;
}

/* Of ids, then of types if there are any. */
static unsigned long hash_ids(const struct encoding *e)
{
    uint32_t h = hash_values(0x811C9DC5u, e->ids, e->count);

    if (e->types)
        h = hash_values(h, e->types, e->count);
    return (h ^ h >> 16) & 0xFFFF;
}

static struct tokenizer *case_tokenizer(const struct node *n, const struct str *model)
{
    const struct node *sections = node_get(n, "sections");
    struct json_writer w;
    struct str json;
    struct tokenizer *t;

    str_init(&json);
    json_writer_init(&w, &json, -1);
    json_write_object_begin(&w);
    for (const struct node *s = sections->first; s; s = s->next) {
        json_write_key(&w, s->key);
        node_write(&w, s);
    }
    json_write_key(&w, "model");
    json_write_raw(&w, model->data, model->length);
    json_write_object_end(&w);
    t = parse(node_get(n, "name")->text, &json);
    str_release(&json);
    return t;
}

static void check_spans(const struct encoding *e, const char *text, size_t length)
{
    for (size_t i = 0; i < e->count; i++) {
        struct tok_span s = e->spans[i];
        assert_true(s.begin <= s.end && s.end <= length);
        assert_true(s.begin == length || ((uint8_t)text[s.begin] & 0xC0) != 0x80);
        assert_true(s.end == length || ((uint8_t)text[s.end] & 0xC0) != 0x80);
    }
}

/* Ids are the same with spans, and spans are within the text. */
static void check_with_spans(struct encoder *e, const char *name, const struct tok_text *text)
{
    struct encode_options options = { .spans = true };
    struct encoding plain = { 0 }, spans = { 0 };

    assert_int_equal(tokenizer_encode(e, text->bytes, text->length, NULL, &plain), OK);
    assert_int_equal(tokenizer_encode(e, text->bytes, text->length, &options, &spans), OK);
    if (hash_ids(&spans) != hash_ids(&plain))
        fail_msg("%s: other ids with spans: %s", name, text->bytes);
    check_spans(&spans, text->bytes, text->length);
    encoding_release(&plain);
    encoding_release(&spans);
}

enum { MOST_LINES = 512 };

/* The hash of ids and types; "----": it cannot be cut. */
static void check_pair(const struct tokenizer *t, const char *name, const struct tok_input *in,
                       const char *hash)
{
    const struct encode_options options = { .types = true };
    struct encoding out = { 0 };
    char found[5] = "----";
    int status = tokenizer_encode_batch(t, in, 1, &options, &out);

    if (status == OK)
        snprintf(found, sizeof(found), "%04lx", hash_ids(&out));
    error_clear();
    if (memcmp(found, hash, 4) != 0)
        fail_msg("%s: pair \"%s\", \"%s\": %s, expected %.4s", name, in->text.bytes, in->pair.bytes, found,
                 hash);
    encoding_release(&out);
}

/* Each line with another one. */
static void check_pairs(const struct node *n, const struct tok_text *lines, size_t count,
                        const struct str *model)
{
    const struct node *hashes = node_get(n, "pair_hashes");
    struct tokenizer *t;

    if (!hashes)
        return;
    t = case_tokenizer(n, model);
    for (size_t i = 0; i < count; i++) {
        struct tok_input in = { lines[i], lines[(7 * i + 3) % count] };
        check_pair(t, node_get(n, "name")->text, &in, hashes->text + 4 * i);
    }
    assert_int_equal(hashes->length, 4 * count);
    tokenizer_free(t);
}

/* All lines at once, so that padding and truncation act. */
static void check_case(const struct node *n, const struct tok_text *lines, size_t count,
                       const struct str *model)
{
    struct tokenizer *t = case_tokenizer(n, model);
    struct encoder *e = encoder_create(t);
    struct encoding *out = mem_alloc_array(count, sizeof(*out));
    const char *name = node_get(n, "name")->text, *hashes = node_get(n, "hashes")->text;
    struct tok_input inputs[MOST_LINES] = { 0 };
    char part[5] = { 0 };

    for (size_t i = 0; i < count; i++)
        inputs[i].text = lines[i];
    if (tokenizer_encode_batch(t, inputs, count, NULL, out) != OK)
        fail_msg("%s: %s", name, error_message());
    for (size_t i = 0; i < count; i++, hashes += 4) {
        memcpy(part, hashes, 4);
        if (hash_ids(&out[i]) != strtoul(part, NULL, 16))
            fail_msg("%s: line %zu: %s", name, i + 1, lines[i].bytes);
        check_with_spans(e, name, &lines[i]);
        encoding_release(&out[i]);
    }
    assert_int_equal(*hashes, 0);
    mem_free(out);
    encoder_free(e);
    tokenizer_free(t);
}

/* ---- pairs with tokenizers as transformers loads them: tests/oracle/pairs.py ---- */

static void check_loaded(const struct node *n, const struct node *pairs)
{
    const struct node *most = node_get(n, "max_length"), *hashes = node_get(n, "hashes");
    struct encode_options options = { .types = true, .max_length = strtol(most->text, NULL, 10) };
    const char *name = node_get(n, "tokenizer")->text;
    struct encoding out = { 0 };
    struct tokenizer *t = NULL;
    struct encoder *e;
    char path[256], found[5];
    size_t at = 0;

    snprintf(path, sizeof(path), GOLDEN_DIR "/%s", name);
    assert_int_equal(tokenizer_load(path, &t), OK);
    e = encoder_create(t);
    for (; pairs; pairs = pairs->next, at += 4) {
        const struct node *a = pairs->first, *b = a->next;
        const struct tok_input in = { { a->text, a->length }, { b->text, b->length } };
        out.count = 0;
        assert_int_equal(tokenizer_encode_pair(e, &in, &options, &out), OK);
        snprintf(found, sizeof(found), "%04lx", hash_ids(&out));
        if (memcmp(found, hashes->text + at, 4) != 0)
            fail_msg("%s: pair \"%s\", \"%s\" in %s", name, a->text, b->text, most->text);
    }
    assert_int_equal(hashes->length, at);
    encoding_release(&out);
    encoder_free(e);
    tokenizer_free(t);
}

static void test_pairs(void **state)
{
    struct document pairs, expected;
    int count = 0;

    document_read(&pairs, GOLDEN_DIR "/pairs/texts.jsonl");
    document_read(&expected, GOLDEN_DIR "/pairs/expected.jsonl");
    for (const struct node *n = document_lines(&expected); n; n = n->next, count++)
        check_loaded(n, document_lines(&pairs));
    assert_true(count > 70);
    document_release(&pairs);
    document_release(&expected);
}

static void test_encoding(void **state)
{
    struct document cases, lines;
    struct tok_text texts[MOST_LINES];
    size_t line_count = 0;
    struct str model;
    int count = 0;

    str_init(&model);
    assert_int_equal(file_read(GOLD "/model.json", 0, &model), OK);
    document_read(&cases, GOLD "/encode.jsonl");
    document_read(&lines, GOLD "/lines.jsonl");
    for (const struct node *n = document_lines(&lines); n; n = n->next) {
        assert_true(line_count < sizeof(texts) / sizeof(texts[0]));
        texts[line_count++] = (struct tok_text){ n->text, n->length };
    }
    for (const struct node *n = document_lines(&cases); n; n = n->next, count++) {
        if (node_get(n, "hashes"))
            check_case(n, texts, line_count, &model);
        check_pairs(n, texts, line_count, &model);
    }
    assert_true(count > 150);
    document_release(&cases);
    document_release(&lines);
    str_release(&model);
}

/* ---- decoding ---- */

static void check_decoder(const struct node *n)
{
    const struct node *list = node_get(n, "tokens")->first, *text = node_get(n, "texts")->first;
    struct json_writer w;
    struct tokenizer *t;
    struct str json, out;
    int32_t ids[64];

    str_init(&json);
    str_init(&out);
    json_writer_init(&w, &json, -1);
    node_write(&w, node_get(n, "document"));
    t = parse(node_get(n, "name")->text, &json);
    for (; list; list = list->next, text = text->next) {
        size_t count = 0;
        for (const struct node *id = list->first; id; id = id->next)
            ids[count++] = (int32_t)strtol(id->text, NULL, 10);
        str_clear(&out);
        assert_int_equal(tokenizer_decode(t, ids, count, true, &out), OK);
        if (out.length != text->length || memcmp(out.data, text->text, out.length) != 0)
            fail_msg("%s, list %u: \"%s\", expected \"%s\"", node_get(n, "name")->text, list->index, out.data,
                     text->text);
    }
    tokenizer_free(t);
    str_release(&json);
    str_release(&out);
}

static void test_decoding(void **state)
{
    struct document cases;
    int count = 0;

    document_read(&cases, GOLD "/decode.jsonl");
    for (const struct node *n = document_lines(&cases); n; n = n->next, count++)
        check_decoder(n);
    assert_true(count > 15);
    document_release(&cases);
}

/* ---- writing ---- */

static void expect_same(const char *name, const struct node *read, const struct node *written)
{
    struct json_writer w;
    struct str a, b;

    str_init(&a);
    str_init(&b);
    json_writer_init(&w, &a, -1);
    node_write(&w, read);
    json_writer_init(&w, &b, -1);
    assert_non_null(written);
    node_write(&w, written);
    if (strcmp(a.data, b.data) != 0)
        fail_msg("%s: %s became %s", name, a.data, b.data);
    str_release(&a);
    str_release(&b);
}

/* What is written is what was read, and reads again. */
static void test_writing(void **state)
{
    struct document cases;
    struct str model, text;

    str_init(&model);
    str_init(&text);
    assert_int_equal(file_read(GOLD "/model.json", 0, &model), OK);
    document_read(&cases, GOLD "/encode.jsonl");
    for (const struct node *n = document_lines(&cases); n; n = n->next) {
        struct tokenizer *t = case_tokenizer(n, &model), *again;
        const char *name = node_get(n, "name")->text;
        struct tree written;
        str_clear(&text);
        tokenizer_write(t, &text);
        again = parse(name, &text);
        assert_true(tokenizer_hash(again) == tokenizer_hash(t));
        assert_int_equal(tree_parse(&written, name, text.data, text.length), OK);
        for (const struct node *s = node_get(n, "sections")->first; s; s = s->next)
            if (s->type == JSON_OBJECT)
                expect_same(name, s, node_get(written.root, s->key));
        tree_release(&written);
        tokenizer_free(t);
        tokenizer_free(again);
    }
    document_release(&cases);
    str_release(&model);
    str_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
