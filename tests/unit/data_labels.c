/* What a row has beside its text: labels of its own, a target, token types; and how data sets hand it
 * over. */
#include "data/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "lib/scratch.h"

struct place {
    char *path, *directory;
    const char *patterns[1];
};

static void place_init(struct place *p, void **state, const char *name, const char *text)
{
    p->path = scratch_path(state, name);
    p->directory = scratch_path(state, "cache");
    p->patterns[0] = p->path;
    scratch_put(p->path, text, strlen(text));
}

static void place_release(struct place *p)
{
    mem_free(p->path);
    mem_free(p->directory);
}

static int collect(struct label_set *l, const struct place *p)
{
    const struct source_options o = { .option = "train_file",
                                      .patterns = p->patterns,
                                      .pattern_count = 1,
                                      .spool_directory = ".",
                                      .columns = { [COLUMN_TEXT] = "text", [COLUMN_LABEL] = "label" } };

    return label_set_collect(l, &o);
}

static void make_cache(struct token_cache *c, const struct place *p, struct token_cache_options o)
{
    o.option = "train_file";
    o.patterns = p->patterns;
    o.pattern_count = 1;
    o.directory = p->directory;
    o.id_limit = 1000;
    if (token_cache_make(&o, c) != OK)
        fail_msg("%s", error_message());
}

/* ---- label sets ---- */

static void check_set(void **state, const char *labels[], enum label_kind kind, int64_t count,
                      const char *order)
{
    struct label_set l;
    struct place p;
    struct str text, names;

    str_init(&text);
    str_init(&names);
    for (int i = 0; labels[i]; i++)
        str_appendf(&text, "{\"text\": \"a\", \"label\": %s}\n", labels[i]);
    place_init(&p, state, "set.jsonl", text.data);
    if (collect(&l, &p) != OK)
        fail_msg("%s", error_message());
    assert_int_equal(l.kind, kind);
    assert_int_equal(l.count, count);
    for (size_t i = 0; i < l.classes.count && kind != LABEL_NUMBERS; i++)
        str_appendf(&names, "%s ", l.classes.entries[i].key);
    assert_string_equal(names.data, order);
    label_set_release(&l);
    place_release(&p);
    str_release(&text);
    str_release(&names);
}

static void the_data_says_what_labels_are(void **state)
{
    check_set(state, (const char *[]){ "\"no\"", "\"yes\"", "\"no\"", NULL }, LABEL_CLASS, 2, "no yes ");
    check_set(state, (const char *[]){ "10", "9", "-1", NULL }, LABEL_CLASS, 3, "-1 9 10 ");
    check_set(state, (const char *[]){ "1", "0.5", NULL }, LABEL_NUMBERS, 1, "");
    check_set(state, (const char *[]){ "[1, 2e0]", "[0, 0.25]", NULL }, LABEL_NUMBERS, 2, "");
    check_set(state, (const char *[]){ "[]", "[\"b\", \"a\"]", "[\"c\"]", NULL }, LABEL_CLASSES, 3, "a b c ");
    check_set(state, (const char *[]){ "true", "false", NULL }, LABEL_CLASS, 2, "false true ");
}

static struct cell cell(const char *text)
{
    return (struct cell){ text, strlen(text), true };
}

static void assert_refused(const struct label_set *l, const char *text, const char *words)
{
    struct cell c = cell(text);
    int32_t out[4];

    assert_int_equal(label_set_read(l, &c, out), ERR_DATA);
    assert_non_null(strstr(error_message(), words));
    error_clear();
}

static void cells_are_read_by_their_set(void **state)
{
    struct label_set l;
    struct place p;
    struct cell c;
    int32_t word;
    float numbers[3];

    place_init(&p, state, "a.jsonl",
               "{\"text\": \"x\", \"label\": \"b\"}\n{\"text\": \"x\", \"label\": \"a\"}\n");
    assert_int_equal(collect(&l, &p), OK);
    c = cell("b");
    assert_int_equal(label_set_read(&l, &c, &word), OK);
    assert_int_equal(word, 1);
    assert_refused(&l, "c", "label \"c\" is none of the 2");
    assert_refused(&l, "", "no label");
    assert_refused(&l, "[\"a\", \"b\"]", "not one label (found 2)");
    assert_refused(&l, "[\"a\"", "label:1:5");
    l.kind = LABEL_CLASSES;
    assert_int_equal(label_set_words(&l), 2);
    c = cell("[\"b\"]");
    assert_int_equal(label_set_read(&l, &c, (int32_t *)numbers), OK);
    assert_true(numbers[0] == 0 && numbers[1] == 1);
    l.kind = LABEL_NUMBERS;
    c = cell("[0.5, -3]");
    assert_int_equal(label_set_read(&l, &c, (int32_t *)numbers), OK);
    assert_true(numbers[0] == 0.5F && numbers[1] == -3);
    assert_refused(&l, "1", "not a number for each label (found 1, expected 2)");
    assert_refused(&l, "[1, 2, 3]", "too many numbers");
    assert_refused(&l, "nan", "expected a number");
    label_set_release(&l);
    place_release(&p);
    place_init(&p, state, "none.jsonl", "{\"text\": \"x\", \"label\": \"\"}\n");
    assert_int_equal(collect(&l, &p), ERR_DATA);
    assert_non_null(strstr(error_message(), "no labels in column \"label\""));
    error_clear();
    place_release(&p);
}

/* ---- data sets ---- */

static void read_sample(const struct dataset *d, int64_t index, struct sample *s)
{
    struct sample_source source = dataset_source(d);

    sample_init(s, &source);
    if (sample_read(&source, index, &(struct sample_limits){ 1000, 256 }, s) != OK)
        fail_msg("%s", error_message());
}

static void assert_ids(const int32_t *found, int64_t count, const int32_t *expected, int64_t wanted)
{
    assert_int_equal(count, wanted);
    assert_memory_equal(found, expected, (size_t)count * sizeof(*found));
}

static void pairs_stay_together(void **state)
{
    static const char text[] = "{\"input_ids\": [1, 2, 3, 99], \"labels\": [10, 99]}\n"
                               "{\"input_ids\": [], \"labels\": [11]}\n"
                               "{\"input_ids\": [4], \"labels\": [-100]}\n"
                               "{\"input_ids\": [5, 6], \"labels\": [12, 13, 14, 15, 99, -100]}\n";
    static const int32_t tail[] = { 99 };
    struct dataset_options o = {
        .block_size = 3, .max_target = 3, .tail = tail, .tail_count = 1, .option = "train_file"
    };
    struct token_cache c;
    struct dataset d;
    struct sample s;
    struct place p;

    place_init(&p, state, "pairs.jsonl", text);
    make_cache(&c, &p, (struct token_cache_options){ .rows = ROWS_PAIR });
    assert_int_equal(c.document_count, 8);
    assert_int_equal(c.empty_count, 2);
    assert_int_equal(dataset_init(&d, &c, &o), OK);
    assert_int_equal(d.count, 2); /* two lack one of both */
    assert_int_equal(d.truncated, 2);
    read_sample(&d, 0, &s);
    assert_ids(s.ids, s.length, (const int32_t[]){ 1, 2, 99 }, 3); /* the end of a text stays */
    assert_ids(s.target, s.target_length, (const int32_t[]){ 10, 99 }, 2);
    sample_release(&s);
    read_sample(&d, 1, &s);
    assert_ids(s.ids, s.length, (const int32_t[]){ 5, 6 }, 2);
    assert_ids(s.target, s.target_length, (const int32_t[]){ 12, 13, 99 }, 3);
    sample_release(&s);
    dataset_release(&d);
    o.held_out_percentage = 25;
    o.part = DATASET_REST;
    assert_int_equal(dataset_init(&d, &c, &o), OK); /* of rows, not of halves */
    assert_int_equal(d.first_document, 2);
    assert_int_equal(d.count, 1);
    dataset_release(&d);
    token_cache_close(&c);
    place_release(&p);
}

static void types_and_classes_go_with_rows(void **state)
{
    static const char text[] =
        "{\"input_ids\": [1, 2], \"token_type_ids\": [0, 1], \"label\": \"b\"}\n"
        "{\"input_ids\": [3, 4, 5], \"token_type_ids\": [0, 1, 200], \"label\": \"a\"}\n";
    const struct dataset_options o = { .block_size = 8, .option = "train_file" };
    struct token_cache_options options = { .rows = ROWS_CLASS, .columns = { [COLUMN_LABEL] = "label" } };
    struct label_set l = { .count = 2 };
    struct token_cache c;
    struct dataset d;
    struct sample s;
    struct place p;

    place_init(&p, state, "types.jsonl", text);
    map_init(&l.classes);
    map_add(&l.classes, "a", 1, 0);
    map_add(&l.classes, "b", 1, 1);
    options.labels = &l;
    make_cache(&c, &p, options);
    assert_int_equal(dataset_init(&d, &c, &o), OK);
    for (int i = 0; i < 2; i++) {
        read_sample(&d, i, &s);
        assert_int_equal(s.class, 1 - i);
        assert_true(s.typed);
        assert_ids(s.types, s.length, (const int32_t[]){ 0, 1, 200 }, 2 + i);
        sample_release(&s);
    }
    dataset_release(&d);
    token_cache_close(&c);
    label_set_release(&l);
    place_release(&p);
}

static void samples_say_where_documents_begin(void **state)
{
    static const char text[] = "{\"input_ids\": [1, 2, 3]}\n{\"input_ids\": []}\n{\"input_ids\": [4]}\n"
                               "{\"input_ids\": [5, 6, 7, 8, 9]}\n";
    const struct dataset_options o = { .block_size = 4, .documents = true, .option = "train_file" };
    struct token_cache c;
    struct dataset d;
    struct sample s;
    struct place p;

    place_init(&p, state, "starts.jsonl", text);
    make_cache(&c, &p, (struct token_cache_options){ 0 });
    assert_int_equal(dataset_init(&d, &c, &o), OK);
    read_sample(&d, 0, &s);
    assert_ids(s.starts, s.start_count, (const int32_t[]){ 0, 3 }, 2);
    sample_release(&s);
    read_sample(&d, 1, &s);
    assert_ids(s.starts, s.start_count, (const int32_t[]){ 0 }, 1);
    sample_release(&s);
    dataset_release(&d);
    token_cache_close(&c);
    place_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_data_says_what_labels_are),
        cmocka_unit_test(cells_are_read_by_their_set),
        cmocka_unit_test(pairs_stay_together),
        cmocka_unit_test(types_and_classes_go_with_rows),
        cmocka_unit_test(samples_say_where_documents_begin),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
