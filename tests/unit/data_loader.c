/* Loader: order, shares, steps, batches; the goldens of 40 training steps say how many labels each step has.
 */
#include "data/loader.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/dataset.h"
#include "lib/scratch.h"

enum { T = 5 };

/* Sample i: 1 + i % 5 tokens 10 i, 10 i + 1, ...; every third has labels, of which the first is -100. */
static int read_sample(void *context, int64_t index, struct sample *s)
{
    (void)context;
    s->length = 1 + index % T;
    s->labelled = index % 3 == 0;
    for (int64_t i = 0; i < s->length; i++) {
        s->ids[i] = (int32_t)(10 * index + i);
        s->labels[i] = i == 1 ? -100 : (int32_t)(10 * index + i + 5);
    }
    return OK;
}

static struct sample_source source_of(int64_t count)
{
    return (struct sample_source){ .count = count, .max_length = T, .read = read_sample };
}

static void init(struct loader *l, int64_t count, const struct loader_options *o)
{
    struct sample_source source = source_of(count);
    if (loader_init(l, &source, o) != OK)
        fail_msg("%s", error_message());
}

static int64_t index_at(struct loader *l, int64_t step, int64_t position, int64_t *epoch)
{
    int64_t index;
    loader_sample_at(l, step, position, epoch, &index);
    return index;
}

static void every_epoch_has_every_sample_once(void **state)
{
    struct loader l;
    int64_t differences = 0, epoch, first[103];
    (void)state;
    init(&l, 103, &(struct loader_options){ .microbatch = 4, .accumulation = 2, .dp = 1, .seed = 7 });
    assert_int_equal(loader_steps_per_epoch(&l), 13);
    for (int64_t e = 0; e < 3; e++) {
        bool seen[103] = { false };
        int64_t place = 0;
        for (int64_t step = 13 * e; step < 13 * (e + 1); step++) {
            assert_int_equal(loader_sample_count(&l, step), step % 13 == 12 ? 7 : 8);
            for (int64_t p = 0; p < loader_sample_count(&l, step); p++, place++) {
                int64_t index = index_at(&l, step, p, &epoch);
                assert_int_equal(epoch, e);
                assert_in_range(index, 0, 102);
                assert_false(seen[index]);
                seen[index] = true;
                differences += e > 0 && index != first[place];
                if (e == 0)
                    first[place] = index;
            }
        }
        assert_int_equal(place, 103);
    }
    assert_true(differences > 180); /* epochs have orders of their own */
    loader_release(&l);
}

static void order_depends_on_the_seed_alone(void **state)
{
    struct loader one, wide, other, plain;
    int64_t same = 0, epoch;
    (void)state;
    init(&one, 100, &(struct loader_options){ .microbatch = 12, .seed = 7 });
    init(&wide, 100, &(struct loader_options){ .microbatch = 2, .accumulation = 3, .dp = 2, .seed = 7 });
    init(&other, 100, &(struct loader_options){ .microbatch = 12, .seed = 8 });
    init(&plain, 100, &(struct loader_options){ .microbatch = 12, .seed = 8, .no_shuffle = true });
    for (int64_t step = 0; step < 18; step++)
        for (int64_t p = 0; p < loader_sample_count(&one, step); p++) {
            int64_t index = index_at(&one, step, p, &epoch);
            assert_int_equal(index, index_at(&wide, step, p, &epoch));
            same += index == index_at(&other, step, p, &epoch);
            assert_int_equal(index_at(&plain, step, p, &epoch), step % 9 * 12 + p);
        }
    assert_true(same < 20);
    loader_release(&one);
    loader_release(&wide);
    loader_release(&other);
    loader_release(&plain);
}

static void shares_cover_each_position_once(void **state)
{
    static const int64_t counts[] = { 1, 2, 5, 11, 12, 13, 23, 24, 25, 47, 48 };
    struct loader l;
    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        init(&l, counts[i], &(struct loader_options){ .microbatch = 4, .accumulation = 2, .dp = 3 });
        for (int64_t step = 0; step < loader_steps_per_epoch(&l); step++) {
            int64_t next = 0, first, count;
            for (int64_t m = 0; m < 2; m++)
                for (int64_t r = 0; r < 3; r++, next += count) {
                    loader_share(&l, step, m, r, &first, &count);
                    assert_int_equal(first, next);
                    assert_in_range(count, 0, 4);
                }
            assert_int_equal(next, loader_sample_count(&l, step));
        }
        loader_release(&l);
    }
}

static void ranks_share_what_is_left_evenly(void **state)
{
    struct loader l;
    int64_t first, count;
    (void)state;
    init(&l, 10, &(struct loader_options){ .microbatch = 4, .dp = 4 });
    static const int64_t firsts[] = { 0, 2, 5, 7 }, counts[] = { 2, 3, 2, 3 };
    for (int64_t r = 0; r < 4; r++) {
        loader_share(&l, 0, 0, r, &first, &count);
        assert_int_equal(first, firsts[r]);
        assert_int_equal(count, counts[r]);
    }
    loader_release(&l);
}

static void a_global_batch_may_be_smaller_than_the_ranks_take(void **state)
{
    struct loader l;
    struct loader_options o = { .microbatch = 4, .accumulation = 2, .dp = 2, .global_batch = 13 };
    struct sample_source source = source_of(30);
    (void)state;
    init(&l, 30, &o);
    assert_int_equal(loader_steps_per_epoch(&l), 3);
    assert_int_equal(loader_sample_count(&l, 0), 13);
    assert_int_equal(loader_sample_count(&l, 2), 4);
    loader_release(&l);
    o.global_batch = 17;
    assert_int_equal(loader_init(&l, &source, &o), ERR_CONFIG);
    assert_non_null(strstr(error_message(), "global_batch_size is 17 (expected at most 16"));
    error_clear();
    o = (struct loader_options){ .microbatch = 0 };
    assert_int_equal(loader_init(&l, &source, &o), ERR_CONFIG);
    error_clear();
    o = (struct loader_options){ .microbatch = INT32_MAX };
    assert_int_equal(loader_init(&l, &source, &o), ERR_CONFIG);
    error_clear();
}

static void steps_are_counted_as_trainer_does(void **state)
{
    struct loader l;
    (void)state;
    init(&l, 103, &(struct loader_options){ .microbatch = 8 });
    assert_int_equal(loader_total_steps(&l, 3, 0), 39);
    assert_int_equal(loader_total_steps(&l, 3, -1), 39);
    assert_int_equal(loader_total_steps(&l, 3, 20), 20);
    assert_int_equal(loader_total_steps(&l, 3, 2000), 2000);
    assert_int_equal(loader_total_steps(&l, 0.5, 0), 7);
    assert_int_equal(loader_total_steps(&l, 0, 0), 0);
    assert_int_equal(loader_total_steps(&l, 1e300, 0), (int64_t)1 << 62);
    assert_true(fabs(loader_epoch(&l, 20) - (1 + 7 / 13.0)) < 1e-12);
    loader_release(&l);
}

static void batches_hold_their_samples(void **state)
{
    struct loader l;
    struct batch b;
    int64_t labels = 0, first, count, epoch;
    (void)state;
    init(&l, 37, &(struct loader_options){ .microbatch = 3, .accumulation = 2, .dp = 2, .seed = 3 });
    loader_batch_init(&l, &b);
    assert_int_equal(b.rows.capacity, 3 * T);
    for (int64_t m = 0; m < 2; m++) {
        assert_int_equal(loader_fill(&l, 5, m, 1, &b), OK);
        loader_share(&l, 5, m, 1, &first, &count);
        assert_int_equal(b.sequences, count);
        for (int64_t i = 0; i < count; i++) {
            int64_t index = index_at(&l, 5, first + i, &epoch), row = b.rows.offsets[i];
            assert_int_equal(b.rows.offsets[i + 1] - row, 1 + index % T);
            for (int64_t t = 0; row + t < b.rows.offsets[i + 1]; t++) {
                assert_int_equal(b.rows.ids[row + t], 10 * index + t);
                assert_int_equal(b.rows.positions[row + t], t);
                assert_int_equal(b.rows.place[row + t], (first + i) * T + t);
            }
        }
        for (int64_t i = 0; i < b.label_count; i++) {
            int64_t row = b.label_rows[i], id = b.rows.ids[row];
            assert_int_equal(b.labels[i], id / 10 % 3 == 0 ? id + 6 : id + 1);
            assert_false(id / 10 % 3 == 0 && id % 10 == 0); /* the label at 1 is -100 */
        }
        labels += b.label_count;
    }
    assert_true(labels > 0);
    batch_release(&b);
    loader_release(&l);
}

static void a_share_may_be_empty(void **state)
{
    struct loader l;
    struct batch b;
    (void)state;
    init(&l, 1, &(struct loader_options){ .microbatch = 3, .accumulation = 2, .dp = 2 });
    loader_batch_init(&l, &b);
    assert_int_equal(loader_fill(&l, 0, 0, 1, &b), OK);
    assert_int_equal(b.rows.count, 1);
    assert_int_equal(loader_fill(&l, 0, 1, 1, &b), OK);
    assert_int_equal(b.rows.count, 0);
    assert_int_equal(b.sequences, 0);
    assert_int_equal(b.label_count, 0);
    assert_int_equal(loader_fill(&l, 0, 0, 0, &b), OK);
    assert_int_equal(b.label_count, 0);
    batch_release(&b);
    loader_release(&l);
}

static int read_wrong(void *context, int64_t index, struct sample *s)
{
    const int *what = context;
    if (*what == 4)
        return (fail)(ERR_IO, "sample %d is lost", (int)index);
    s->length = *what == 0 ? 0 : *what == 1 ? T + 1 : 2;
    s->labelled = true;
    s->ids[0] = s->labels[1] = 1;
    s->ids[1] = *what == 2 ? 64 : 1;
    s->labels[0] = *what == 3 ? -1 : -100;
    return OK;
}

static void wrong_samples_are_refused(void **state)
{
    static const char *const words[] = { "sample 0 has 0 tokens (expected 1 to 5)", "sample 0 has 6 tokens",
                                         "sample 0: token 1 is 64 (expected 0 to 63)",
                                         "sample 0: label 0 is -1 (expected 0 to 63, or -100)",
                                         "sample 0 is lost" };
    struct batch b;
    (void)state;
    for (int what = 0; what < 6; what++) {
        struct loader l;
        struct sample_source source = { .count = 1, .max_length = T, .read = read_wrong, .context = &what };
        struct loader_options o = { .microbatch = 1, .vocab_size = 64 };
        assert_int_equal(loader_init(&l, &source, &o), OK);
        loader_batch_init(&l, &b);
        int status = loader_fill(&l, 0, 0, 0, &b);
        assert_int_equal(status, what == 5 ? OK : what == 4 ? ERR_IO : ERR_DATA);
        if (what < 5)
            assert_non_null(strstr(error_message(), words[what]));
        error_clear();
        batch_release(&b);
        loader_release(&l);
    }
}

/* ---- the goldens ---- */

static void read_counts(const char *curve, int64_t counts[40])
{
    struct str text;
    struct json_reader r;
    struct json_string key;
    int64_t n = 0;
    str_init(&text);
    assert_int_equal(file_read(GOLDEN_DIR "/gpt2/train40/expected.json", 0, &text), OK);
    json_reader_init(&r, "expected.json", text.data, text.length);
    json_object_begin(&r);
    while (json_next_key(&r, &key)) {
        if (!json_key_is(&r, curve)) {
            json_skip(&r);
            continue;
        }
        json_object_begin(&r);
        while (json_next_key(&r, &key)) {
            if (!json_key_is(&r, "label_tokens")) {
                json_skip(&r);
                continue;
            }
            json_array_begin(&r);
            while (json_next_element(&r) && n < 40)
                counts[n++] = json_int(&r, 0, 1000);
        }
    }
    assert_int_equal(json_end(&r), OK);
    assert_int_equal(n, 40);
    json_reader_release(&r);
    str_release(&text);
}

static void check_curve(void **state, const char *file, const char *curve, const struct loader_options *o)
{
    char *directory = scratch_path(state, "cache"), *path = path_join(GOLDEN_DIR "/gpt2/train40", file);
    const char *patterns[] = { path };
    struct token_cache_options options = { .option = "train_file",
                                           .patterns = patterns,
                                           .pattern_count = 1,
                                           .directory = directory,
                                           .id_limit = 64 };
    struct dataset_options shape = { .block_size = 32, .option = "train_file" };
    struct token_cache c;
    struct dataset d;
    struct loader l;
    int64_t counts[40];
    struct batch b;
    read_counts(curve, counts);
    assert_int_equal(token_cache_make(&options, &c), OK);
    assert_int_equal(dataset_init(&d, &c, &shape), OK);
    assert_int_equal(d.count, 160);
    struct sample_source source = dataset_source(&d);
    assert_int_equal(loader_init(&l, &source, o), OK);
    loader_batch_init(&l, &b);
    for (int64_t step = 0; step < 40; step++) {
        int64_t labels = 0;
        for (int64_t m = 0; m < l.options.accumulation; m++) {
            assert_int_equal(loader_fill(&l, step, m, 0, &b), OK);
            labels += b.label_count;
        }
        assert_int_equal(labels, counts[step]);
    }
    batch_release(&b);
    loader_release(&l);
    dataset_release(&d);
    token_cache_close(&c);
    mem_free(path);
    mem_free(directory);
}

static void golden_steps_have_their_labels(void **state)
{
    struct loader_options o = { .microbatch = 4, .no_shuffle = true, .vocab_size = 64 };
    check_curve(state, "plain.jsonl", "plain", &o);
    o.accumulation = 2;
    check_curve(state, "labelled.jsonl", "accumulate", &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_has_every_sample_once),
        cmocka_unit_test(order_depends_on_the_seed_alone),
        cmocka_unit_test(shares_cover_each_position_once),
        cmocka_unit_test(ranks_share_what_is_left_evenly),
        cmocka_unit_test(a_global_batch_may_be_smaller_than_the_ranks_take),
        cmocka_unit_test(steps_are_counted_as_trainer_does),
        cmocka_unit_test(batches_hold_their_samples),
        cmocka_unit_test(a_share_may_be_empty),
        cmocka_unit_test(wrong_samples_are_refused),
        cmocka_unit_test(golden_steps_have_their_labels),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
