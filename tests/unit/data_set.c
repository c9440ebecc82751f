/* Samples of a data set: joined and cut, rows, parts held out. */
#include "data/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "lib/scratch.h"

enum { LONGEST = 64 };

/* A cache of documents with the lengths given (ended by -1); tokens are 0, 1, 2 and so on over all of them.
 */
static void make_cache(struct token_cache *c, void **state, const int *lengths, bool labels)
{
    struct str rows;
    char *path = scratch_path(state, "rows.jsonl"), *directory = scratch_path(state, "cache");
    const char *patterns[] = { path };
    struct token_cache_options o = { .option = "train_file",
                                     .patterns = patterns,
                                     .pattern_count = 1,
                                     .directory = directory,
                                     .id_limit = 1000 };
    int next = 0;
    str_init(&rows);
    for (; *lengths >= 0; lengths++) {
        str_append(&rows, "{\"input_ids\": [");
        for (int i = 0; i < *lengths; i++)
            str_appendf(&rows, "%s%d", i ? "," : "", next + i);
        str_append(&rows, labels ? "], \"labels\": [" : "");
        for (int i = 0; i < *lengths && labels; i++)
            str_appendf(&rows, "%s%d", i ? "," : "", i % 2 ? -100 : 500 + next + i);
        str_append(&rows, "]}\n");
        next += *lengths;
    }
    scratch_put(path, rows.data, rows.length);
    if (token_cache_make(&o, c) != OK)
        fail_msg("%s", error_message());
    str_release(&rows);
    mem_free(path);
    mem_free(directory);
}

/* The samples as "0 1 2|3 4 5|", labels after a slash. */
static char *samples_of(const struct dataset *d)
{
    int32_t ids[LONGEST], labels[LONGEST];
    struct sample s = { .ids = ids, .labels = labels };
    struct sample_source source = dataset_source(d);
    int64_t longest = 0;
    struct str all;
    str_init(&all);
    for (int64_t i = 0; i < source.count; i++) {
        assert_int_equal(source.read(source.context, i, &s), OK);
        assert_true(s.length >= 1 && s.length <= source.max_length);
        longest = s.length > longest ? s.length : longest;
        for (int64_t k = 0; k < s.length; k++)
            str_appendf(&all, "%s%d", k ? " " : "", ids[k]);
        for (int64_t k = 0; k < s.length && s.labelled; k++)
            str_appendf(&all, "%s%d", k ? " " : "/", labels[k]);
        str_append_char(&all, '|');
    }
    assert_int_equal(longest, sample_longest(&source));
    return str_detach(&all);
}

static void assert_samples(const struct token_cache *c, const struct dataset_options *o, const char *expected,
                           int64_t dropped)
{
    struct dataset d;
    struct dataset_options options = *o;
    options.option = "train_file";
    if (dataset_init(&d, c, &options) != OK)
        fail_msg("%s", error_message());
    char *found = samples_of(&d);
    assert_string_equal(found, expected);
    assert_int_equal(d.dropped, dropped);
    mem_free(found);
    dataset_release(&d);
}

static void documents_are_joined_and_cut(void **state)
{
    struct token_cache c;
    make_cache(&c, state, (const int[]){ 3, 0, 5, 1, 2, -1 }, false);
    assert_samples(&c, &(struct dataset_options){ .block_size = 4 }, "0 1 2 3|4 5 6 7|", 3);
    assert_samples(&c, &(struct dataset_options){ .block_size = 11 }, "0 1 2 3 4 5 6 7 8 9 10|", 0);
    assert_samples(&c, &(struct dataset_options){ .block_size = 12 }, "0 1 2 3 4 5 6 7 8 9 10|", 0);
    assert_samples(&c, &(struct dataset_options){ .block_size = 2, .max_samples = 3 }, "0 1|2 3|4 5|", 5);
    assert_samples(&c, &(struct dataset_options){ .block_size = 5, .max_samples = 3 }, "0 1 2 3 4|5 6 7 8 9|",
                   1);
    token_cache_close(&c);
}

static void documents_are_rows(void **state)
{
    struct token_cache c;
    make_cache(&c, state, (const int[]){ 3, 0, 5, 1, 0, 2, -1 }, false);
    assert_samples(&c, &(struct dataset_options){ .block_size = 4, .rows = true }, "0 1 2|3 4 5 6|8|9 10|",
                   1);
    assert_samples(&c, &(struct dataset_options){ .block_size = 9, .rows = true, .max_samples = 2 },
                   "0 1 2|3 4 5 6 7|", 3);
    token_cache_close(&c);
    make_cache(&c, state, (const int[]){ 3, 2, -1 }, false);
    assert_samples(&c, &(struct dataset_options){ .block_size = 4, .rows = true }, "0 1 2|3 4|", 0);
    token_cache_close(&c);
}

static void labels_go_with_their_tokens(void **state)
{
    struct token_cache c;
    make_cache(&c, state, (const int[]){ 3, 2, -1 }, true);
    assert_samples(&c, &(struct dataset_options){ .block_size = 2 }, "0 1/500 -100|2 3/502 503|", 1);
    token_cache_close(&c);
}

static void a_part_is_held_out(void **state)
{
    static const int lengths[] = { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, -1 };
    struct token_cache c;
    make_cache(&c, state, lengths, false);
    struct dataset_options held = { .block_size = 2, .part = DATASET_HELD_OUT }, rest = held;
    rest.part = DATASET_REST;
    held.held_out_percentage = rest.held_out_percentage = 20;
    assert_samples(&c, &held, "0 1|2 3|", 0);
    assert_samples(&c, &rest, "4 5|6 7|8 9|10 11|12 13|14 15|16 17|18 19|", 0);
    held.rows = rest.rows = true;
    assert_samples(&c, &held, "0 1|2 3|", 0);
    assert_samples(&c, &rest, "4 5|6 7|8 9|10 11|12 13|14 15|16 17|18 19|", 0);
    held.held_out_percentage = rest.held_out_percentage = 100;
    assert_samples(&c, &held, "0 1|2 3|4 5|6 7|8 9|10 11|12 13|14 15|16 17|18 19|", 0);

    struct dataset d;
    rest.option = held.option = "train_file";
    assert_int_equal(dataset_init(&d, &c, &rest), ERR_DATA);
    assert_non_null(
        strstr(error_message(), "validation_split_percentage 100 of 10 documents leaves none to train on"));
    error_clear();
    held.held_out_percentage = 4;
    assert_int_equal(dataset_init(&d, &c, &held), ERR_DATA);
    assert_non_null(strstr(error_message(), "leaves none to evaluate on"));
    error_clear();
    held.held_out_percentage = 101;
    assert_int_equal(dataset_init(&d, &c, &held), ERR_USAGE);
    error_clear();
    token_cache_close(&c);
}

/* round(n * p / 100) in Python: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2. */
static void halves_are_rounded_to_even(void **state)
{
    static const struct {
        int documents;
        int64_t percentage, held_out;
    } cases[] = { { 10, 5, 0 }, { 30, 5, 2 }, { 50, 5, 2 }, { 11, 5, 1 },
                  { 29, 5, 1 }, { 7, 50, 4 }, { 5, 50, 2 } };
    int lengths[51];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct token_cache c;
        struct dataset d;
        for (int k = 0; k < cases[i].documents; k++)
            lengths[k] = 2;
        lengths[cases[i].documents] = -1;
        make_cache(&c, state, lengths, false);
        struct dataset_options o = { .block_size = 2,
                                     .part = DATASET_REST,
                                     .held_out_percentage = cases[i].percentage,
                                     .option = "train_file" };
        assert_int_equal(dataset_init(&d, &c, &o), OK);
        assert_int_equal(d.first_document, cases[i].held_out);
        assert_int_equal(d.count, cases[i].documents - cases[i].held_out);
        dataset_release(&d);
        token_cache_close(&c);
    }
}

static void too_little_is_refused(void **state)
{
    struct token_cache c;
    struct dataset d;
    struct dataset_options o = { .block_size = 4, .option = "validation_file" };
    make_cache(&c, state, (const int[]){ 1, 0, -1 }, false);
    assert_int_equal(dataset_init(&d, &c, &o), ERR_DATA);
    assert_non_null(
        strstr(error_message(), "`validation_file`: no usable sample (found 1 tokens in 2 documents"));
    error_clear();
    o.block_size = 0;
    assert_int_equal(dataset_init(&d, &c, &o), ERR_USAGE);
    error_clear();
    token_cache_close(&c);
}

/* Ends that no longer fit the tokens must not lead out of the file. */
static void damaged_ends_are_noticed(void **state)
{
    struct token_cache c;
    struct dataset d;
    struct dataset_options o = { .block_size = 4, .option = "train_file" };
    make_cache(&c, state, (const int[]){ 3, 4, 5, -1 }, false);
    const uint64_t *good = c.ends;
    static const uint64_t bad[][3] = { { 3, 2, 12 }, { 3, 7, 13 }, { 3, UINT64_MAX, 12 }, { 13, 13, 13 } };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        c.ends = bad[i];
        assert_int_equal(dataset_init(&d, &c, &o), ERR_DATA);
        assert_non_null(strstr(error_message(), "the token cache is damaged"));
        error_clear();
    }
    c.ends = good;
    assert_int_equal(dataset_init(&d, &c, &o), OK);
    int32_t ids[4];
    struct sample s = { .ids = ids };
    assert_int_equal(truncate(c.path, 100), 0);
    assert_int_equal(dataset_read(&d, 0, &s), ERR_IO);
    error_clear();
    dataset_release(&d);
    token_cache_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_joined_and_cut), cmocka_unit_test(documents_are_rows),
        cmocka_unit_test(labels_go_with_their_tokens),  cmocka_unit_test(a_part_is_held_out),
        cmocka_unit_test(halves_are_rounded_to_even),   cmocka_unit_test(too_little_is_refused),
        cmocka_unit_test(damaged_ends_are_noticed),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
