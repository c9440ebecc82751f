/* Training of what is not byte-level against the goldens of tests/oracle/tokenizer_models.py, on one thread
 * and on several; and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "tok/tok.h"
#include "tok/tree.h"

#include <cmocka.h>

#define GOLD GOLDEN_DIR "/tokenizer_models/train/"
enum { SPECIALS_MOST = 8 };

static void parse(struct tree *t, struct str *text, const char *name)
{
    assert_int_equal(tree_parse(t, name, text->data, text->length), OK);
}

static int train(const struct tok_train_options *o, struct tokenizer **out)
{
    struct tok_trainer *trainer;
    struct str text;
    int status;

    error_clear();
    status = tok_trainer_create(o, &trainer);
    if (status != OK)
        return status;
    str_init(&text);
    assert_int_equal(file_read(GOLDEN_DIR "/tokenizer/mixed.txt", 0, &text), OK);
    assert_int_equal(tok_trainer_feed_lines(trainer, "mixed.txt", text.data, text.length), OK);
    status = tok_trainer_finish(trainer, NULL, NULL, out);
    tok_trainer_free(trainer);
    str_release(&text);
    return status;
}

/* ---- goldens ---- */

static const struct node *model_of(const struct tree *t)
{
    return node_get(node_get(t->root, "model"), "vocab");
}

/* The member with the same key, which may hold NULs. */
static const struct node *same_key(const struct node *object, const struct node *e)
{
    for (const struct node *n = object->first; n; n = n->next)
        if (n->key_length == e->key_length && memcmp(n->key, e->key, n->key_length) == 0)
            return n;
    return NULL;
}

/* {"token": id} */
static void same_ids(const struct node *expected, const struct node *found)
{
    const struct node *n;

    assert_int_equal(expected->count, found->count);
    for (const struct node *e = expected->first; e; e = e->next) {
        n = same_key(found, e);
        if (!n || strcmp(n->text, e->text) != 0)
            fail_msg("\"%s\" has id %s, expected %s", e->key, n ? n->text : "none", e->text);
    }
}

static void same_merges(const struct node *expected, const struct node *found)
{
    const struct node *f = found ? found->first : NULL;

    for (const struct node *e = expected->first; e; e = e->next, f = f->next) {
        assert_non_null(f);
        assert_int_equal(f->first->length, e->first->length);
        assert_memory_equal(f->first->text, e->first->text, e->first->length);
        assert_int_equal(f->first->next->length, e->first->next->length);
        assert_memory_equal(f->first->next->text, e->first->next->text, e->first->next->length);
    }
    assert_null(f);
}

static double score_of(const struct tree *t, const struct node *list, const char *text)
{
    double score = 0;

    for (const struct node *n = list->first; n; n = n->next) {
        if (strcmp(n->first->text, text) != 0)
            continue;
        assert_int_equal(node_to_double(t, n->first->next, &score), OK);
        return score;
    }
    fail_msg("\"%s\" is no piece", text);
    return 0;
}

/* The pieces are the same, and so are scores, but for characters that EM gave up: all near the least. */
static void same_scores(const struct tree *golden, const struct node *expected, const struct tree *made,
                        const struct node *found)
{
    double score, least = 0;

    assert_int_equal(expected->count, found->count);
    for (const struct node *e = expected->first; e; e = e->next) {
        assert_int_equal(node_to_double(golden, e->first->next, &score), OK);
        least = fmin(least, score);
    }
    for (const struct node *e = expected->first; e; e = e->next) {
        assert_int_equal(node_to_double(golden, e->first->next, &score), OK);
        double own = score_of(made, found, e->first->text), bound = score < least + 0.05 ? 0.05 : 1e-9;
        if (fabs(own - score) > bound)
            fail_msg("\"%s\" has %.12f, expected %.12f", e->first->text, own, score);
    }
}

static void check_golden(const char *name, enum tok_train_type type, bool own)
{
    static const char byte_level[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}";
    const char *specials[SPECIALS_MOST];
    struct tok_train_options o = { .type = type,
                                   .min_frequency = 2,
                                   .limit_alphabet = type == TOK_TRAIN_WORDPIECE ? 150 : 0,
                                   .specials = specials,
                                   .normalizer = own ? NULL : "nfkc,lowercase",
                                   .pre_tokenizer = own ? NULL : byte_level };
    struct tree golden = { 0 }, made = { 0 };
    struct tokenizer *t = NULL;
    struct str text, written;

    str_init(&text);
    str_init(&written);
    assert_int_equal(file_read(name, 0, &text), OK);
    parse(&golden, &text, name);
    assert_int_equal(node_int(&golden, golden.root, "vocab_size", 1, 1000000, &o.vocab_size), OK);
    for (const struct node *n = node_get(golden.root, "specials")->first; n; n = n->next)
        specials[o.special_count++] = n->text;
    assert_int_equal(train(&o, &t), OK);
    tokenizer_write(t, &written);
    parse(&made, &written, "made");
    if (type == TOK_TRAIN_UNIGRAM) {
        same_scores(&golden, node_get(golden.root, "vocab"), &made, model_of(&made));
    } else {
        same_ids(node_get(golden.root, "vocab"), model_of(&made));
        same_merges(node_get(golden.root, "merges"), node_get(node_get(made.root, "model"), "merges"));
    }
    tokenizer_free(t);
    tree_release(&golden);
    tree_release(&made);
    str_release(&text);
    str_release(&written);
}

static void test_goldens(void **state)
{
    (void)state;
    check_golden(GOLD "sentencepiece_bpe.json", TOK_TRAIN_SENTENCEPIECE, false);
    check_golden(GOLD "wordpiece.json", TOK_TRAIN_WORDPIECE, false);
    check_golden(GOLD "unigram.json", TOK_TRAIN_UNIGRAM, false);
    check_golden(GOLD "sentencepiece_bpe_own.json", TOK_TRAIN_SENTENCEPIECE, true);
    check_golden(GOLD "wordpiece_own.json", TOK_TRAIN_WORDPIECE, true);
    check_golden(GOLD "unigram_own.json", TOK_TRAIN_UNIGRAM, true);
}

/* ---- the same on any number of threads ---- */

static void test_threads(void **state)
{
    static const char *const specials[] = { "<unk>" };
    const struct tok_train_options o = { .type = TOK_TRAIN_UNIGRAM,
                                         .vocab_size = 500,
                                         .specials = specials,
                                         .special_count = 1,
                                         .normalizer = "none",
                                         .pre_tokenizer = "{\"type\":\"ByteLevel\"}" };
    int threads = parallel_threads();
    struct tokenizer *one, *three;

    (void)state;
    parallel_set_threads(1);
    assert_int_equal(train(&o, &one), OK);
    parallel_set_threads(3);
    assert_int_equal(train(&o, &three), OK);
    parallel_set_threads(threads);
    assert_true(tokenizer_hash(one) == tokenizer_hash(three));
    tokenizer_free(one);
    tokenizer_free(three);
}

/* ---- refused ---- */

static void expect_refused(const struct tok_train_options *o, const char *message)
{
    struct tokenizer *t = NULL;

    assert_int_equal(train(o, &t), ERR_CONFIG);
    if (!strstr(error_message(), message))
        fail_msg("\"%s\", expected \"%s\"", error_message(), message);
}

static void test_refused(void **state)
{
    static const char *const specials[] = { "<unk>", "<s>" };
    const struct tok_train_options good = { .type = TOK_TRAIN_UNIGRAM,
                                            .vocab_size = 500,
                                            .specials = specials,
                                            .special_count = 2,
                                            .normalizer = "nfc",
                                            .pre_tokenizer = "{\"type\":\"ByteLevel\"}" };
    struct tok_train_options o = good;

    (void)state;
    o.vocab_size = 2;
    expect_refused(&o, "vocab_size 2 (expected more than the 2 special and byte tokens)");
    o.vocab_size = 20;
    expect_refused(&o, "vocab_size 20 (expected room for the ");
    o = good;
    o.normalizer = "nfc,nope";
    expect_refused(&o, "normalizer \"nope\" is not known (expected names of nfc, nfd");
    o.normalizer = "";
    expect_refused(&o, "normalizer is empty");
    o = good;
    o.unk_token = "<what>";
    expect_refused(&o, "unk_token \"<what>\" is not among the special tokens");
    o = good;
    o.special_count = 0;
    expect_refused(&o, "no special token stands for what is unknown");
    o = good;
    o.shrinking_factor = 1;
    expect_refused(&o, "shrinking_factor 1");
    o = good;
    o.type = TOK_TRAIN_BYTE_LEVEL;
    expect_refused(&o, "byte-level tokenizers have their own");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
