/* What is left of a distribution after temperature, top-k and top-p (tests/golden/gpt2/generate/filter.json),
 * and draws from it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/rng.h"
#include "gen/process.h"
#include "gen/sample.h"
#include "gen/top.h"

#include <cmocka.h>

enum { MOST = 256 };

struct filter_case {
    struct generation_options options;
    float logits[MOST];
    double probabilities[MOST];
    int64_t count;
};

static void read_numbers(struct json_reader *r, struct filter_case *c, bool logits)
{
    c->count = 0;
    json_array_begin(r);
    while (json_next_element(r)) {
        double x = -INFINITY;
        assert_true(c->count < MOST);
        if (json_peek(r) == JSON_NULL)
            json_null(r);
        else
            x = json_double(r);
        if (logits)
            c->logits[c->count++] = (float)x;
        else
            c->probabilities[c->count++] = x;
    }
}

static void read_case(struct json_reader *r, struct filter_case *c)
{
    struct json_string key;

    generation_options_init(&c->options);
    json_object_begin(r);
    while (json_next_key(r, &key)) {
        if (json_key_is(r, "logits"))
            read_numbers(r, c, true);
        else if (json_key_is(r, "temperature"))
            c->options.temperature = json_double(r);
        else if (json_key_is(r, "top_k"))
            c->options.top_k = json_int(r, 0, 1 << 20);
        else if (json_key_is(r, "top_p"))
            c->options.top_p = json_double(r);
        else
            read_numbers(r, c, false);
    }
}

static void check_case(struct filter_case *f, struct choice *c)
{
    double total, found[MOST] = { 0 };
    float most;

    choice_filter(c, f->logits, f->count, &f->options, 1);
    total = choice_total(c, &most);
    for (int64_t i = 0; i < c->count; i++) {
        found[c->ids[i]] = exp((double)c->scores[i] - most) / total;
        assert_true(i == 0 || c->ids[i] > c->ids[i - 1]);
    }
    for (int64_t i = 0; i < f->count; i++) {
        assert_int_equal(found[i] > 0, f->probabilities[i] > 0);
        assert_true(fabs(found[i] - f->probabilities[i]) <= 2e-6 * f->probabilities[i]);
    }
}

static void filters_as_transformers(void **state)
{
    struct filter_case f;
    struct json_reader r;
    struct choice c;
    struct str text;
    int count = 0;

    (void)state;
    choice_init(&c, MOST);
    str_init(&text);
    assert_int_equal(file_read(GOLDEN_DIR "/gpt2/generate/filter.json", 0, &text), OK);
    json_reader_init(&r, "filter.json", text.data, text.length);
    json_array_begin(&r);
    while (json_next_element(&r)) {
        read_case(&r, &f);
        check_case(&f, &c);
        count++;
    }
    assert_int_equal(json_end(&r), OK);
    assert_true(count > 40);
    json_reader_release(&r);
    str_release(&text);
    choice_release(&c);
}

/* Beam search with sampling has to have more than one token left, whatever top_k and top_p say. */
static void keeps_as_many_as_asked(void **state)
{
    float logits[] = { 0, 9, 1, 2, 3 };
    struct generation_options o;
    struct choice c;

    (void)state;
    generation_options_init(&o);
    choice_init(&c, 5);
    o.top_k = 1;
    o.top_p = 0.01;
    choice_filter(&c, logits, 5, &o, 3);
    assert_int_equal(c.count, 3);
    assert_int_equal(c.ids[0], 1);
    assert_int_equal(c.ids[1], 3);
    assert_int_equal(c.ids[2], 4);
    choice_release(&c);
}

static void draws_follow_probabilities(void **state)
{
    enum { DRAWS = 40000 };
    float logits[] = { 1, -INFINITY, 0, 2, -1 };
    double p[5], total = 0;
    int seen[5] = { 0 };
    struct generation_options o;
    struct choice c;

    (void)state;
    generation_options_init(&o);
    o.top_k = 0;
    choice_init(&c, 5);
    choice_filter(&c, logits, 5, &o, 1);
    for (int i = 0; i < 5; i++)
        total += p[i] = exp(logits[i]);
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct draw d = { .seed = 3, .sample = i / 100, .step = i % 100 };
        int32_t id = choice_draw(&c, &d);
        assert_int_equal(id, choice_draw(&c, &d));
        seen[id]++;
    }
    for (int i = 0; i < 5; i++) {
        double expected = DRAWS * p[i] / total;
        assert_true(fabs(seen[i] - expected) <= 4 * sqrt(expected));
    }
    choice_release(&c);
}

/* The best sum of log-probability and noise is a draw. */
static void noise_draws_too(void **state)
{
    enum { DRAWS = 20000 };
    const double p[] = { 0.5, 0.3, 0.2 };
    int seen[3] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        struct draw d = { .seed = 1, .sample = i };
        double best = -INFINITY;
        int at = 0;
        for (int k = 0; k < 3; k++) {
            double x = log(p[k]) + gumbel(&d, 0, k);
            at = x > best ? k : at;
            best = fmax(best, x);
        }
        seen[at]++;
    }
    for (int k = 0; k < 3; k++)
        assert_true(fabs(seen[k] - DRAWS * p[k]) <= 4 * sqrt(DRAWS * p[k]));
}

/* ---- top ---- */

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x < y) - (x > y);
}

static void finds_the_largest(void **state)
{
    float x[500], sorted[500];

    (void)state;
    for (int round = 0; round < 20; round++) {
        struct top items[40];
        struct top_list list = { .items = items, .room = 1 + 2 * round };
        for (int i = 0; i < 500; i++) /* with equals */
            x[i] = sorted[i] =
                (float)floor(rng_normal((struct rng_key){ 7, (uint32_t)round }, 0, (uint64_t)i) * 20);
        qsort(sorted, 500, sizeof(sorted[0]), descending);
        for (int k = 1; k <= 500; k += 37)
            assert_true(top_value(x, 500, k) == sorted[k - 1]);
        for (int i = 0; i < 500; i++)
            top_add(&list, &(struct top){ .key = x[i], .score = x[i], .token = i });
        top_sort(&list);
        assert_int_equal(list.count, list.room);
        for (int64_t k = 0; k < list.count; k++) {
            assert_true(items[k].key == sorted[k]);
            assert_true(k == 0 || items[k].key < items[k - 1].key || items[k].token > items[k - 1].token);
        }
    }
}

/* ---- scores ---- */

static void log_softmax_of_many(void **state)
{
    enum { COUNT = 50257 };
    float *x = malloc(COUNT * sizeof(*x)), *y = malloc(COUNT * sizeof(*y));
    double total = 0;

    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        x[i] = y[i] = (float)rng_normal((struct rng_key){ 1, 1 }, 0, i) * 3 + 100;
    for (int i = 0; i < COUNT; i++)
        total += exp((double)x[i] - 100);
    scores_log_softmax(y, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_true(fabs(y[i] - ((double)x[i] - 100 - log(total))) < 2e-5);
    assert_true(scores_finite(y, COUNT));
    y[COUNT - 1] = NAN;
    assert_false(scores_finite(y, COUNT));
    y[COUNT - 1] = -INFINITY;
    assert_false(scores_finite(y, COUNT));
    free(x);
    free(y);
}

static void processors(void **state)
{
    const int32_t ids[] = { 1, 2, 3, 1, 2 };
    const struct sequence_view s = { ids, 5, 3 };
    struct generation_options o;
    float x[] = { 1, 2, -2, 4, 5, 6 }, scratch[5];

    (void)state;
    generation_options_init(&o);
    o.repetition_penalty = 2;
    o.no_repeat_ngram_size = 3;
    o.min_new_tokens = 3;
    o.min_length = 1; /* does not count beside it */
    o.eos[o.eos_count++] = 5;
    o.eos[o.eos_count++] = 77; /* beyond the vocabulary */
    scores_process(x, 6, &o, &s, scratch);
    assert_true(x[0] == 1 && x[4] == 5);
    assert_true(x[1] == 1 && x[2] == -4);    /* penalised once each, by sign */
    assert_true(isinf(x[3]) && isinf(x[5])); /* 1 2 3 again; no end yet */
    assert_int_equal(scores_largest(x, 6), 4);
    assert_int_equal(scores_largest((const float[]){ -INFINITY, -INFINITY }, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_as_transformers),
        cmocka_unit_test(keeps_as_many_as_asked),
        cmocka_unit_test(draws_follow_probabilities),
        cmocka_unit_test(noise_draws_too),
        cmocka_unit_test(finds_the_largest),
        cmocka_unit_test(log_softmax_of_many),
        cmocka_unit_test(processors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
