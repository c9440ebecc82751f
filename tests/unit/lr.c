/* Learning rates against transformers', and arguments that are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "train/lr.h"

enum { MOST = 64 };

struct curve {
    char name[64], arguments[200];
    struct lr_schedule s;
    double rates[MOST];
    int count;
};

static void copy(struct json_reader *r, char *to, size_t size)
{
    struct json_string text;

    assert_true(json_string(r, &text));
    assert_true(text.length < size);
    memcpy(to, text.data, text.length);
    to[text.length] = '\0';
}

static void read_curve(const char *line, struct curve *c)
{
    struct json_reader r;
    struct json_string key;

    *c = (struct curve){ .s.kind = -1 };
    json_reader_init(&r, "lr.jsonl", line, strlen(line));
    json_object_begin(&r);
    while (json_next_key(&r, &key)) {
        if (json_key_is(&r, "name"))
            copy(&r, c->name, sizeof(c->name));
        else if (json_key_is(&r, "arguments"))
            copy(&r, c->arguments, sizeof(c->arguments));
        else if (json_key_is(&r, "peak"))
            c->s.peak = json_double(&r);
        else if (json_key_is(&r, "warmup"))
            c->s.warmup = json_int(&r, 0, 1000);
        else if (json_key_is(&r, "total"))
            c->s.total = json_int(&r, 0, 1000);
        else
            for (json_array_begin(&r); json_next_element(&r);)
                c->rates[c->count++] = json_double(&r);
    }
    assert_int_equal(json_end(&r), OK);
    json_reader_release(&r);
    for (int i = 0; lr_names[i]; i++)
        if (strcmp(lr_names[i], c->name) == 0)
            c->s.kind = i;
}

static void rates_are_those_of_transformers(void **state)
{
    struct str text;
    struct curve c;
    char *save, *line;
    unsigned seen = 0;

    (void)state;
    str_init(&text);
    assert_int_equal(file_read(GOLDEN_DIR "/train/lr.jsonl", 0, &text), OK);
    for (line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        read_curve(line, &c);
        if (c.s.kind < 0)
            fail_msg("no schedule %s", c.name);
        seen |= 1u << c.s.kind;
        if (lr_init(&c.s, c.arguments) != OK)
            fail_msg("%s", error_message());
        for (int i = 0; i < c.count; i++)
            if (!(fabs(lr_at(&c.s, i) - c.rates[i]) <= 1e-12 * c.s.peak))
                fail_msg("%s %s, step %d: %.17g, expected %.17g", c.name, c.arguments, i, lr_at(&c.s, i),
                         c.rates[i]);
    }
    for (int i = 0; lr_names[i]; i++)
        if (!(seen >> i & 1) && !lr_needs_evaluation(i))
            fail_msg("the golden has no case of %s", lr_names[i]);
    str_release(&text);
}

static void assert_refused(const char *name, const char *arguments, const char *words)
{
    struct lr_schedule s = { .peak = 1e-3, .warmup = 2, .total = 10 };

    while (strcmp(lr_names[s.kind], name) != 0)
        s.kind++;
    assert_int_equal(lr_init(&s, arguments), ERR_USAGE);
    if (!strstr(error_message(), words))
        fail_msg("\"%s\" lacks \"%s\"", error_message(), words);
    error_clear();
}

/* Rates in thousandths, as torch.optim.lr_scheduler.ReduceLROnPlateau gives them. */
static void plateaus_lower_the_rate(void **state)
{
    static const double metrics[] = { 3,   2.9, 2.9, 2.91, 2.8999, 2.95, 2.9, 2.5,
                                      2.5, 2.5, 2.5, 2.5,  2.6,    2.7,  2.7 };
    static const struct {
        const char *arguments;
        double sign, rates[15];
    } cases[] = {
        { "{\"patience\": 1, \"factor\": 0.5}",
          1,
          { 10, 10, 10, 5, 5, 2.5, 2.5, 2.5, 2.5, 1.25, 1.25, 0.625, 0.625, 0.3125, 0.3125 } },
        { "{\"patience\": 1, \"factor\": 0.5, \"cooldown\": 2, \"min_lr\": 3e-3}",
          1,
          { 10, 10, 10, 5, 5, 5, 5, 5, 5, 3, 3, 3, 3, 3, 3 } },
        { "{\"patience\": 0}",
          -1,
          { 10, 10, 10, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01, 1e-3, 1e-4 } },
        { "{}", 1, { 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10 } },
    };

    (void)state;
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        struct lr_schedule s = { .peak = 1e-2, .total = 100 };
        struct lr_plateau p = { .factor = 1, .best = NAN };
        while (!lr_needs_evaluation(s.kind))
            s.kind++;
        assert_int_equal(lr_init(&s, cases[k].arguments), OK);
        for (int i = 0; i < 15; i++) {
            lr_plateau_take(&s, &p, cases[k].sign * metrics[i], cases[k].sign < 0);
            if (!(fabs(1e3 * lr_at(&s, i) * p.factor - cases[k].rates[i]) < 1e-9))
                fail_msg("case %zu, evaluation %d: %g, expected %g", k, i, 1e3 * lr_at(&s, i) * p.factor,
                         cases[k].rates[i]);
        }
    }
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    assert_refused("linear", "{\"num_cycles\": 1}", "linear does not take this (expected nothing)");
    assert_refused("cosine", "{\"power\": 1}",
                   "$.power: the schedule cosine does not take this (expected num_cycles)");
    assert_refused("cosine", "{\"num_cycles\": -1}", "below zero");
    assert_refused("cosine", "{\"num_cycles\": \"x\"}", "$.num_cycles");
    assert_refused("cosine", "num_cycles=1", "lr_scheduler_kwargs:1:1");
    assert_refused("polynomial", "{\"lr_end\": 0.5}", "lr_end (0.5) must be smaller than initial lr (0.001)");
    assert_refused("cosine_with_min_lr", NULL, "needs min_lr or min_lr_rate");
    assert_refused("cosine_with_min_lr", "{\"min_lr\": 1e-4, \"min_lr_rate\": 0.1}", "not both");
    assert_refused("warmup_stable_decay", "{}", "needs num_decay_steps");
    assert_refused("warmup_stable_decay", "{\"num_decay_steps\": 9}", "more than the 8 steps");
    assert_refused("warmup_stable_decay", "{\"num_decay_steps\": 3, \"decay_type\": \"flat\"}",
                   "no such shape");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_those_of_transformers),
        cmocka_unit_test(plateaus_lower_the_rate),
        cmocka_unit_test(wrong_arguments_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
