/* Objectives: what becomes of a sample. Rates and lengths are those that the papers and Hugging Face's
 * scripts say; nothing depends on anything but seed, epoch and the sample's number. */
#include "data/objective.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "data/loader.h"

enum { V = 1000, LONG = 4000, MASK = 4, EOS = 1, START = 2, PAD = 0 };

struct fixture {
    struct objective o;
    struct sample_source source;
    struct sample s;
    struct example_sizes sizes;
    struct example e;
};

static void begin(struct fixture *f, const struct objective *o, int64_t length, int64_t target)
{
    *f = (struct fixture){ .o = *o, .source = { .count = 1, .max_length = length, .max_target = target } };
    sample_init(&f->s, &f->source);
    objective_sizes(&f->o, &f->source, &f->sizes);
    example_init(&f->e, &f->sizes);
    f->s.length = length;
    f->s.target_length = target;
    f->s.class = -1;
    for (int64_t i = 0; i < length; i++)
        f->s.ids[i] = (int32_t)(10 + i % (V - 200));
    for (int64_t i = 0; i < target; i++)
        f->s.target[i] = (int32_t)(500 + i);
}

static void end(struct fixture *f)
{
    sample_release(&f->s);
    example_release(&f->e);
}

static void show(struct fixture *f, uint64_t seed, int64_t epoch, int64_t index)
{
    const struct example_key key = { seed, epoch, index };

    objective_apply(&f->o, &key, &f->s, &f->e);
}

static void assert_ids(const int32_t *ids, int64_t count, const int32_t *wanted)
{
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(ids[i], wanted[i]);
}

/* ---- causal ---- */

static void causal_labels_are_the_next_tokens(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, &(struct objective){ 0 }, 5, 0);
    show(&f, 0, 0, 0);
    assert_ids(f.e.labels, 5, (const int32_t[]){ 11, 12, 13, 14, -100 });
    f.s.labelled = true;
    memcpy(f.s.labels, (const int32_t[]){ 7, -100, 8, -100, 9 }, 5 * sizeof(int32_t));
    show(&f, 0, 0, 0);
    assert_ids(f.e.labels, 5, (const int32_t[]){ -100, 8, -100, 9, -100 });
    end(&f);
}

static void documents_are_sequences_of_their_own(void **state)
{
    struct fixture f;
    struct batch b;

    (void)state;
    begin(&f, &(struct objective){ .documents = true, .first_position = 2 }, 6, 0);
    assert_int_equal(f.sizes.sequences, 6);
    batch_init(&b, &(struct batch_capacity){ .rows = 12, .sequences = 12 });
    batch_clear(&b);
    f.s.start_count = 3;
    memcpy(f.s.starts, (const int32_t[]){ 0, 1, 4 }, 3 * sizeof(int32_t));
    for (int i = 0; i < 2; i++) {
        show(&f, 0, 0, 0);
        example_pack(&f.o, &f.e, &b, 6 * i, 0);
    }
    assert_int_equal(b.sequences, 6);
    assert_ids(b.rows.offsets, 7, (const int32_t[]){ 0, 1, 4, 6, 7, 10, 12 });
    assert_ids(b.rows.positions + 6, 6, (const int32_t[]){ 2, 2, 3, 4, 2, 3 });
    assert_ids(b.rows.order + 6, 6, (const int32_t[]){ 0, 0, 1, 2, 0, 1 });
    for (int i = 0; i < 12; i++)
        assert_int_equal(b.rows.place[i], i);
    assert_int_equal(b.label_count, 6);
    assert_ids(b.label_rows, 6, (const int32_t[]){ 1, 2, 4, 7, 8, 10 });
    assert_ids(b.labels, 6, (const int32_t[]){ 12, 13, 15, 12, 13, 15 });
    batch_release(&b);
    end(&f);
}

/* ---- masked ---- */

struct masks {
    int64_t seen, chosen, masked, random, kept;
};

static void count_masks(const struct fixture *f, struct masks *m)
{
    for (int64_t i = 0; i < f->e.length; i++) {
        m->seen++;
        if (f->e.labels[i] < 0) {
            assert_int_equal(f->e.ids[i], f->s.ids[i]);
            continue;
        }
        assert_int_equal(f->e.labels[i], f->s.ids[i]);
        assert_in_range(f->e.ids[i], 0, V - 1);
        m->chosen++;
        if (f->e.ids[i] == MASK)
            m->masked++;
        else if (f->e.ids[i] == f->s.ids[i])
            m->kept++;
        else
            m->random++;
    }
}

/* Within 5 standard deviations. */
static void assert_rate(int64_t count, int64_t of, double rate)
{
    assert_true(fabs((double)count - rate * (double)of) < 5 * sqrt((double)of * rate * (1 - rate)));
}

static const struct objective mlm = { .kind = OBJECTIVE_MLM, .noise = 0.15, .vocab = V, .mask = MASK };

static void masks_have_their_rates(void **state)
{
    struct masks m = { 0 };
    struct fixture f;
    bool used[V] = { false };
    int many = 0;

    (void)state;
    begin(&f, &mlm, LONG, 0);
    for (int epoch = 0; epoch < 40; epoch++) {
        show(&f, 3, epoch, 5);
        count_masks(&f, &m);
        for (int64_t i = 0; i < f.e.length; i++)
            used[f.e.ids[i]] |= f.e.labels[i] >= 0;
    }
    assert_rate(m.chosen, m.seen, 0.15);
    assert_rate(m.masked, m.chosen, 0.8);
    assert_rate(m.random, m.chosen, 0.1);
    for (int v = V - 150; v < V; v++) /* ids that the text does not have: random words are over the whole
                                         vocabulary */
        many += used[v];
    assert_true(many > 100);
    end(&f);
}

static void masks_depend_on_seed_epoch_and_number_alone(void **state)
{
    struct fixture f, again;
    const int64_t keys[][3] = { { 3, 0, 5 }, { 4, 0, 5 }, { 3, 1, 5 }, { 3, 0, 6 } };

    (void)state;
    begin(&f, &mlm, 600, 0);
    begin(&again, &mlm, 600, 0);
    for (int i = 0; i < 4; i++) {
        show(&f, (uint64_t)keys[i][0], keys[i][1], keys[i][2]);
        for (int k = 3; k >= 0; k--) {
            show(&again, (uint64_t)keys[k][0], keys[k][1], keys[k][2]);
            assert_int_equal(memcmp(f.e.labels, again.e.labels, 600 * sizeof(int32_t)) == 0, i == k);
        }
    }
    end(&f);
    end(&again);
}

static void special_tokens_are_never_masked(void **state)
{
    bool special[V] = { false };
    struct objective o = mlm;
    struct fixture f;

    (void)state;
    for (int v = 0; v < V; v += 2)
        special[v] = true;
    o.special = special;
    o.noise = 1;
    begin(&f, &o, LONG, 0);
    show(&f, 1, 0, 0);
    for (int64_t i = 0; i < LONG; i++)
        assert_int_equal(f.e.labels[i], special[f.s.ids[i]] ? -100 : f.s.ids[i]);
    end(&f);
}

static void labels_that_are_given_stay(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, &mlm, 50, 0);
    f.s.labelled = true;
    for (int i = 0; i < 50; i++)
        f.s.labels[i] = i % 7 ? -100 : i;
    show(&f, 1, 0, 0);
    assert_memory_equal(f.e.labels, f.s.labels, 50 * sizeof(int32_t));
    assert_memory_equal(f.e.ids, f.s.ids, 50 * sizeof(int32_t));
    end(&f);
}

/* ---- spans ---- */

static void span_lengths_are_those_of_the_script(void **state)
{
    FILE *file = fopen(GOLDEN_DIR "/objectives/span_lengths.txt", "r");
    long long inputs, tokens, targets;
    double noise, mean;
    int64_t found[2];
    int lines = 0;

    (void)state;
    assert_non_null(file);
    for (; fscanf(file, "%lld %lf %lf %lld %lld", &inputs, &noise, &mean, &tokens, &targets) == 5; lines++) {
        span_lengths(inputs, noise, mean, &found[0], &found[1]);
        assert_int_equal(found[0], tokens);
        assert_int_equal(found[1], targets);
    }
    fclose(file);
    assert_int_equal(lines, 140);
}

static const struct objective spans = { .kind = OBJECTIVE_SPAN_CORRUPTION,
                                        .encoder = true,
                                        .noise = 0.15,
                                        .mean_span = 3,
                                        .vocab = V,
                                        .eos = EOS,
                                        .decoder_start = START };

/* Puts the two rows together again: each sentinel of the encoder's stands for what follows it in the other.
 */
static void check_spans(const struct fixture *f, int64_t *spans_found)
{
    const int32_t *target = f->e.labels, *end_of = target + f->e.length - 1;
    int64_t at = 0, count = 0;

    for (int64_t i = 0; i < f->e.encoder_length - 1; i++) {
        if (f->e.encoder_ids[i] != V - 1 - count) {
            assert_int_equal(f->e.encoder_ids[i], f->s.ids[at++]);
            continue;
        }
        assert_int_equal(*target++, V - 1 - count++);
        assert_true(target < end_of && *target != V - 1 - count); /* no span is empty */
        while (target < end_of && *target != V - 1 - count)
            assert_int_equal(*target++, f->s.ids[at++]);
    }
    assert_int_equal(at, f->s.length);
    assert_ptr_equal(target, end_of);
    assert_int_equal(*end_of, EOS);
    assert_int_equal(f->e.encoder_ids[f->e.encoder_length - 1], EOS);
    assert_int_equal(f->e.ids[0], START);
    assert_memory_equal(f->e.ids + 1, f->e.labels, (size_t)(f->e.length - 1) * sizeof(int32_t));
    *spans_found = count;
}

static void spans_are_cut_out_and_written(void **state)
{
    int64_t tokens, targets, count, starts[568] = { 0 };
    struct fixture f;

    (void)state;
    span_lengths(512, 0.15, 3, &tokens, &targets);
    begin(&f, &spans, tokens, 0);
    assert_int_equal(f.sizes.encoder_rows, 512);
    assert_int_equal(f.sizes.rows, targets);
    for (int epoch = 0; epoch < 200; epoch++) {
        show(&f, 9, epoch, 3);
        assert_int_equal(f.e.encoder_length, 512);
        assert_int_equal(f.e.length, targets);
        check_spans(&f, &count);
        assert_int_equal(count, 28);
        for (int64_t i = 0; i < 512; i++)
            if (f.e.encoder_ids[i] == V - 14)
                starts[i]++;
    }
    int different = 0;
    for (int i = 0; i < 568; i++)
        different += starts[i] > 0;
    assert_true(different > 50);
    end(&f);
}

static void spans_of_any_length_fit(void **state)
{
    const double noises[] = { 0.01, 0.15, 0.5, 0.85, 0.999 }, means[] = { 1, 3, 20 };
    struct objective o = spans;
    struct fixture f;
    int64_t count;

    (void)state;
    for (int k = 0; k < 15; k++) {
        o.noise = noises[k / 3];
        o.mean_span = means[k % 3];
        begin(&f, &o, 60, 0);
        for (f.s.length = 1; f.s.length <= 60; f.s.length++) {
            show(&f, 1, 0, 0);
            assert_true(f.e.length <= f.sizes.rows && f.e.encoder_length <= f.sizes.encoder_rows);
            check_spans(&f, &count);
            assert_true(f.s.length < 2 || count > 0);
        }
        end(&f);
    }
}

/* The mean of a span's length, and how often it is 1 of 15 tokens in 5 spans: C(13,3) / C(14,4). */
static void each_way_to_cut_is_as_likely(void **state)
{
    struct fixture f;
    int64_t single = 0, all = 3000;

    (void)state;
    begin(&f, &spans, 100, 0);
    for (int64_t i = 0; i < all; i++) {
        show(&f, 7, 0, i);
        single += f.e.labels[2] == V - 2;
    }
    assert_rate(single, all, 286.0 / 1001.0);
    end(&f);
}

/* ---- from source to target; classes ---- */

static void a_decoder_writes_the_target(void **state)
{
    const struct objective o = { .kind = OBJECTIVE_SEQ2SEQ, .encoder = true, .decoder_start = START };
    struct fixture f;

    (void)state;
    begin(&f, &o, 4, 3);
    show(&f, 0, 0, 0);
    assert_int_equal(f.e.encoder_length, 4);
    assert_ids(f.e.encoder_ids, 4, f.s.ids);
    assert_int_equal(f.e.length, 3);
    assert_ids(f.e.labels, 3, (const int32_t[]){ 500, 501, 502 });
    assert_ids(f.e.ids, 3, (const int32_t[]){ START, 500, 501 });
    end(&f);
}

static void a_prompt_has_no_labels(void **state)
{
    struct objective o = { .kind = OBJECTIVE_SEQ2SEQ, .rows = 6 };
    struct fixture f;

    (void)state;
    begin(&f, &o, 3, 2);
    show(&f, 0, 0, 0);
    assert_int_equal(f.e.length, 5);
    assert_ids(f.e.ids, 5, (const int32_t[]){ 10, 11, 12, 500, 501 });
    assert_ids(f.e.labels, 5, (const int32_t[]){ -100, -100, 500, 501, -100 });
    end(&f);
    begin(&f, &o, 5, 4);
    show(&f, 0, 0, 0);
    assert_int_equal(f.e.length, 6);
    assert_ids(f.e.labels, 6, (const int32_t[]){ -100, -100, -100, -100, 500, -100 });
    end(&f);
}

static void one_row_has_the_class(void **state)
{
    struct objective o = { .kind = OBJECTIVE_CLASSIFICATION, .classes = 3 };
    struct fixture f;
    struct batch b;

    (void)state;
    for (int causal = 0; causal < 2; causal++) {
        o.causal = causal;
        begin(&f, &o, 4, 0);
        f.s.class = 2;
        show(&f, 0, 0, 0);
        for (int i = 0; i < 4; i++)
            assert_int_equal(f.e.labels[i], i == (causal ? 3 : 0) ? 2 : -100);
        end(&f);
    }
    o.classes = 0;
    begin(&f, &o, 4, 0);
    batch_init(&b, &(struct batch_capacity){ .rows = 8, .sequences = 2, .target_width = 2 });
    batch_clear(&b);
    f.s.typed = true;
    for (int i = 0; i < 2; i++) {
        mem_free(f.s.numbers);
        f.s.numbers = mem_alloc_array(2, sizeof(float));
        f.s.numbers[0] = (float)i + 0.5F;
        f.s.types[2] = i;
        show(&f, 0, 0, 0);
        example_pack(&o, &f.e, &b, 4 * i, 0);
    }
    assert_int_equal(b.label_count, 2);
    assert_true(b.targets[0] == 0.5F && b.targets[2] == 1.5F && b.targets[3] == 0);
    assert_ids(b.rows.token_types, 8, (const int32_t[]){ 0, 0, 0, 0, 0, 0, 1, 0 });
    batch_release(&b);
    end(&f);
}

/* ---- by length ---- */

static int64_t length_of(void *context, int64_t index)
{
    (void)context;
    return 1 + index * 7919 % 50;
}

static int read_long(void *context, int64_t index, struct sample *s)
{
    s->length = length_of(context, index);
    memset(s->ids, 0, (size_t)s->length * sizeof(*s->ids));
    return OK;
}

static void samples_of_like_length_come_together(void **state)
{
    const struct sample_source source = {
        .count = 1003, .max_length = 50, .read = read_long, .length = length_of
    };
    struct loader_options o = { .microbatch = 4, .seed = 5, .by_length = true };
    struct loader l, other;
    int64_t epoch, index, spread = 0, seen[1003] = { 0 };

    (void)state;
    assert_int_equal(loader_init(&l, &source, &o), OK);
    assert_int_equal(loader_init(&other, &source, &o), OK);
    for (int64_t step = 0; step < 2 * 251; step++) {
        int64_t least = 50, most = 0;
        for (int64_t i = 0; i < loader_sample_count(&l, step); i++) {
            loader_sample_at(&l, step, i, &epoch, &index);
            int64_t length = length_of(NULL, index);
            least = length < least ? length : least;
            most = length > most ? length : most;
            seen[index]++;
        }
        spread += most - least;
    }
    assert_true(spread < 2 * 2 * 251); /* in any order: about 30 */
    for (int i = 0; i < 1003; i++)
        assert_int_equal(seen[i], 2);
    for (int64_t step = 500; step > 0; step -= 71) { /* asked for alone: the same */
        int64_t alone;
        loader_sample_at(&l, step, 2, &epoch, &index);
        loader_sample_at(&other, step, 2, &epoch, &alone);
        assert_int_equal(alone, index);
    }
    loader_release(&l);
    loader_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(causal_labels_are_the_next_tokens),
        cmocka_unit_test(documents_are_sequences_of_their_own),
        cmocka_unit_test(masks_have_their_rates),
        cmocka_unit_test(masks_depend_on_seed_epoch_and_number_alone),
        cmocka_unit_test(special_tokens_are_never_masked),
        cmocka_unit_test(labels_that_are_given_stay),
        cmocka_unit_test(span_lengths_are_those_of_the_script),
        cmocka_unit_test(spans_are_cut_out_and_written),
        cmocka_unit_test(spans_of_any_length_fit),
        cmocka_unit_test(each_way_to_cut_is_as_likely),
        cmocka_unit_test(a_decoder_writes_the_target),
        cmocka_unit_test(a_prompt_has_no_labels),
        cmocka_unit_test(one_row_has_the_class),
        cmocka_unit_test(samples_of_like_length_come_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
