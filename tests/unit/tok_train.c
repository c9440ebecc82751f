/* Training against the goldens: vocabulary and merges entry for entry, from files, from documents, on one
 * thread and on many; and words so long that only linear time will do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "lib/scratch.h"
#include "tok/tok.h"
#include "tok/tree.h"

#include <cmocka.h>

#define GOLD GOLDEN_DIR "/tokenizer/"
enum { MOST = 16 };

struct text_case {
    const char *name;
    const char *files[MOST], *specials[MOST];
    size_t file_count;
    struct tok_train_options options;
};

/* ---- reading ---- */

static void parse(struct tree *t, struct str *text, const char *path)
{
    str_init(text);
    assert_int_equal(file_read(path, 0, text), OK);
    if (text->data[0] == '[') { /* a tree is an object */
        struct str wrapped;
        str_init(&wrapped);
        str_appendf(&wrapped, "{\"list\": %s}", text->data);
        str_release(text);
        *text = wrapped;
    }
    assert_int_equal(tree_parse(t, path, text->data, text->length), OK);
}

static size_t strings_of(const struct node *array, const char **out)
{
    size_t n = 0;

    for (const struct node *s = array->first; s; s = s->next) {
        assert_true(n < MOST);
        out[n++] = s->text;
    }
    return n;
}

static void case_of(const struct tree *t, const struct node *n, struct text_case *c)
{
    memset(c, 0, sizeof(*c));
    assert_int_equal(node_string(t, n, "name", &c->name), OK);
    c->file_count = strings_of(node_get(n, "files"), c->files);
    c->options.special_count = strings_of(node_get(n, "special_tokens"), c->specials);
    c->options.specials = c->specials;
    assert_int_equal(node_int(t, n, "vocab_size", 0, 1 << 20, &c->options.vocab_size), OK);
    assert_int_equal(node_int(t, n, "min_frequency", 0, 1 << 20, &c->options.min_frequency), OK);
    if (node_get(n, "max_token_length"))
        assert_int_equal(node_int(t, n, "max_token_length", 0, 1 << 20, &c->options.max_token_length), OK);
}

/* ---- comparing ---- */

static bool same(const struct node *a, const struct node *b)
{
    if (a->type != b->type || a->length != b->length || a->count != b->count ||
        a->key_length != b->key_length)
        return false;
    if ((a->text && memcmp(a->text, b->text, a->length) != 0) ||
        (a->key && memcmp(a->key, b->key, a->key_length) != 0))
        return false;
    for (a = a->first, b = b->first; a; a = a->next, b = b->next)
        if (!same(a, b))
            return false;
    return true;
}

/* All members, in order: the golden was written by tokenizers. */
static void check_result(const struct tokenizer *t, const char *name, const char *path)
{
    struct tree want, got;
    struct str want_text, got_text;

    parse(&want, &want_text, path);
    str_init(&got_text);
    tokenizer_write(t, &got_text);
    assert_int_equal(tree_parse(&got, "written", got_text.data, got_text.length), OK);
    for (const struct node *n = want.root->first; n; n = n->next) {
        const struct node *m = got.root->first;
        while (m && (m->key_length != n->key_length || strcmp(m->key, n->key) != 0))
            m = m->next;
        if (!m || !same(m, n))
            fail_msg("%s: \"%s\" differs from tokenizers'", name, n->key);
    }
    tree_release(&want);
    tree_release(&got);
    str_release(&want_text);
    str_release(&got_text);
}

static int feed_file(struct tok_trainer *t, const char *path)
{
    struct str text;

    str_init(&text);
    int status = file_read(path, 0, &text);
    if (status == OK)
        status = tok_trainer_feed_lines(t, path, text.data, text.length);
    str_release(&text);
    return status;
}

static void check_case(const struct text_case *c)
{
    char *name = mem_strdup(c->name), *golden;
    struct tok_trainer *trainer;
    struct tokenizer *t;
    struct str path;

    assert_int_equal(tok_trainer_create(&c->options, &trainer), OK);
    for (size_t i = 0; i < c->file_count; i++) {
        char *file = path_join(GOLD, c->files[i]);
        assert_int_equal(feed_file(trainer, file), OK);
        mem_free(file);
    }
    assert_int_equal(tok_trainer_finish(trainer, NULL, NULL, &t), OK);
    str_init(&path);
    str_appendf(&path, "%strained/%s.json", GOLD, name);
    golden = str_detach(&path);
    check_result(t, name, golden);
    tok_trainer_free(trainer);
    tokenizer_free(t);
    mem_free(golden);
    mem_free(name);
}

static void test_goldens(void **state)
{
    struct str text;
    struct tree tree;
    struct text_case c;
    int cases = 0;

    parse(&tree, &text, GOLD "train.json");
    for (const struct node *n = node_get(tree.root, "list")->first; n; n = n->next, cases++) {
        case_of(&tree, n, &c);
        check_case(&c);
    }
    assert_true(cases > 8);
    tree_release(&tree);
    str_release(&text);
}

/* ---- other ways in ---- */

static const char *const specials[] = { "<s>", "<pad>", "</s>", "<unk>", "<mask>" };

static struct tok_trainer *trainer_of(int64_t vocab_size)
{
    struct tok_train_options options = {
        .vocab_size = vocab_size,
        .min_frequency = 2,
        .specials = specials,
        .special_count = 5,
    };
    struct tok_trainer *t;

    assert_int_equal(tok_trainer_create(&options, &t), OK);
    return t;
}

static uint64_t finish(struct tok_trainer *trainer)
{
    struct tokenizer *t;
    uint64_t hash;

    assert_int_equal(tok_trainer_finish(trainer, NULL, NULL, &t), OK);
    hash = tokenizer_hash(t);
    tokenizer_free(t);
    tok_trainer_free(trainer);
    return hash;
}

/* The lines of a text of many tiles, as one text on one thread and on four, and one by one. */
static void test_ways(void **state)
{
    int threads = parallel_threads();
    struct tok_trainer *t;
    struct str text;
    uint64_t one, four, each;

    str_init(&text);
    for (int i = 0; i < 150; i++)
        assert_int_equal(file_read(GOLD "english.txt", 0, &text), OK);
    parallel_set_threads(1);
    t = trainer_of(600);
    assert_int_equal(tok_trainer_feed_lines(t, "text", text.data, text.length), OK);
    one = finish(t);
    parallel_set_threads(4);
    t = trainer_of(600);
    assert_int_equal(tok_trainer_feed_lines(t, "text", text.data, text.length), OK);
    four = finish(t);
    parallel_set_threads(threads);
    t = trainer_of(600);
    for (const char *p = text.data, *end = p + text.length; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop + 1 : end;
        assert_int_equal(tok_trainer_feed(t, p, (size_t)(stop - p)), OK);
        p = stop;
    }
    each = finish(t);
    assert_true(one == four);
    assert_true(one == each);
    str_release(&text);
}

/* A word of 5 MB, once alone and once cut by spaces: both in a few seconds. */
static void test_long_words(void **state)
{
    struct rng_key key = { .seed = 7 };
    struct tok_trainer *t = trainer_of(2000);
    double begin = clock_seconds();
    struct str text;

    str_init(&text);
    for (uint64_t i = 0; i < 5000000; i++)
        str_append_char(&text, (char)('a' + rng_below(key, 0, i, 4)));
    assert_int_equal(tok_trainer_feed_lines(t, "text", text.data, text.length), OK);
    finish(t);
    assert_true(clock_seconds() - begin < 120);
    str_release(&text);
}

static void test_parts(void **state)
{
    struct tok_trainer *trainer = trainer_of(300);
    char *path = scratch_path(state, "saved");
    struct tokenizer *t, *again;

    assert_int_equal(tok_trainer_feed(trainer, "hello hello hello", 17), OK);
    assert_int_equal(tok_trainer_finish(trainer, NULL, NULL, &t), OK);
    assert_int_equal(tokenizer_special_id(t, TOK_BOS), 0);
    assert_int_equal(tokenizer_special_id(t, TOK_PAD), 1);
    assert_int_equal(tokenizer_special_id(t, TOK_EOS), 2);
    assert_int_equal(tokenizer_special_id(t, TOK_UNK), 3);
    assert_int_equal(tokenizer_special_id(t, TOK_MASK), 4);
    assert_int_equal(tokenizer_special_id(t, TOK_CLS), -1);
    assert_int_equal(directory_create(path), OK);
    assert_int_equal(tokenizer_save(t, path), OK);
    assert_int_equal(tokenizer_load(path, &again), OK);
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++)
        assert_int_equal(tokenizer_special_id(again, i), tokenizer_special_id(t, i));
    tokenizer_free(t);
    tokenizer_free(again);
    tok_trainer_free(trainer);
    mem_free(path);
}

static void test_refused(void **state)
{
    const char *const empty[] = { "<s>", "" };
    struct tok_train_options options = { .vocab_size = 0 };
    struct tok_trainer *t = NULL;
    char *path = scratch_path(state, "broken.txt");

    assert_int_equal(tok_trainer_create(&options, &t), ERR_CONFIG);
    error_clear();
    options = (struct tok_train_options){ .vocab_size = 300, .specials = empty, .special_count = 2 };
    assert_int_equal(tok_trainer_create(&options, &t), ERR_CONFIG);
    assert_string_equal(error_message(), "special token 2 is empty");
    error_clear();
    assert_null(t);
    t = trainer_of(300);
    scratch_put(path, "one\ntwo\n\xE3\x81 three\n", 17);
    assert_int_equal(feed_file(t, path), ERR_DATA);
    assert_non_null(strstr(error_message(), "broken.txt:3: not UTF-8 at byte 8 of the file"));
    error_clear();
    tok_trainer_free(t);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test_setup_teardown(test_parts, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(test_refused, scratch_create, scratch_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
