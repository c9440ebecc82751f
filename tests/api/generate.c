/* Generation through the library: the goldens' tokens, each told as it comes; ending early; misuse. */
#include "support.h"

enum { PROMPTS = 3, MOST = 48 };

static const int32_t first[] = { 112, 61, 66 }, second[] = { 180, 166, 177, 48, 17, 56, 59 },
                     third[] = { 51 };
static const int32_t *const prompts[PROMPTS] = { first, second, third };
static const int64_t lengths[PROMPTS] = { 3, 7, 1 };

/* Case "greedy" of gpt2/generate/cases.json. */
static const int32_t greedy_first[] = { 112, 61, 66, 149, 199 };
static const int32_t greedy_second[] = { 180, 166, 177, 48, 17,  56,  59,  33, 33,
                                         33,  33,  33,  33, 122, 134, 122, 199 };
static const int32_t greedy_third[] = { 51, 90, 33, 199 };

struct heard {
    int32_t ids[PROMPTS][4][MOST];
    int64_t counts[PROMPTS][4], total, stop_after; /* stop_after 0: never */
};

static int hear(void *context, int64_t prompt, int64_t sequence, int32_t id)
{
    struct heard *h = context;

    assert_in_range(prompt, 0, PROMPTS - 1);
    assert_in_range(sequence, 0, 3);
    h->ids[prompt][sequence][h->counts[prompt][sequence]++] = id;
    h->total++;
    return h->stop_after && h->total >= h->stop_after;
}

static void begin(struct plait_model **m, struct plait_generate_options *o)
{
    must(plait_model_open(GOLDEN_DIR "/gpt2/generate/model", NULL, m));
    must(plait_generate_options_init(*m, o, sizeof(*o)));
    assert_int_equal(o->max_new_tokens, -1);
    assert_int_equal(o->num_beams, 1);
    o->max_new_tokens = 20;
}

static void is_sequence(const struct plait_generation *g, int64_t index, const int32_t *ids, int64_t count)
{
    int64_t length;
    const int32_t *found = plait_generation_ids(g, index, &length);

    assert_int_equal(length, count);
    assert_memory_equal(found, ids, (size_t)count * sizeof(ids[0]));
}

static void is_greedy(const struct plait_generation *g)
{
    assert_int_equal(plait_generation_count(g), PROMPTS);
    is_sequence(g, 0, greedy_first, 5);
    is_sequence(g, 1, greedy_second, 17);
    is_sequence(g, 2, greedy_third, 4);
}

static void greedy(void **state)
{
    struct plait_generate_options o;
    struct plait_generation *g;
    struct plait_model *m;
    struct heard heard = { 0 };
    int64_t length;

    (void)state;
    begin(&m, &o);
    o.token = hear;
    o.context = &heard;
    must(plait_model_generate(m, &o, prompts, lengths, PROMPTS, &g));
    is_greedy(g);
    assert_int_equal(heard.counts[0][0], 2);
    assert_memory_equal(heard.ids[0][0], greedy_first + 3, 2 * sizeof(int32_t));
    assert_int_equal(heard.counts[1][0], 10);
    assert_memory_equal(heard.ids[1][0], greedy_second + 7, 10 * sizeof(int32_t));
    assert_null(plait_generation_ids(g, PROMPTS, &length));
    assert_int_equal(length, 0);
    assert_true(plait_generation_score(g, 0) == 0);
    plait_generation_free(g);
    plait_model_free(m);
}

/* Case "beam4_return2", and then greedy again on the same handle, one prompt at a time. */
static void beams_and_greedy_again(void **state)
{
    struct plait_generate_options o;
    struct plait_generation *g;
    struct plait_model *m;

    (void)state;
    begin(&m, &o);
    o.num_beams = 4;
    o.num_return_sequences = 2;
    o.max_new_tokens = 12;
    must(plait_model_generate(m, &o, prompts, lengths, PROMPTS, &g));
    assert_int_equal(plait_generation_count(g), 2 * PROMPTS);
    for (int64_t i = 0; i < PROMPTS; i++) {
        assert_true(plait_generation_score(g, 2 * i) >= plait_generation_score(g, 2 * i + 1));
        assert_true(plait_generation_score(g, 2 * i) < 0);
    }
    plait_generation_free(g);
    o.num_beams = o.num_return_sequences = 1;
    o.max_new_tokens = 20;
    o.prompts_at_once = 1;
    must(plait_model_generate(m, &o, prompts, lengths, PROMPTS, &g));
    is_greedy(g);
    plait_generation_free(g);
    plait_model_free(m);
}

/* A forward before and after does not disturb the weights they share. */
static void forward_between(void **state)
{
    struct plait_generate_options o;
    struct plait_forward_inputs in;
    struct plait_forward_outputs out;
    struct plait_generation *g;
    struct plait_model *m;
    double before;

    (void)state;
    begin(&m, &o);
    must(plait_forward_inputs_init(&in, sizeof(in)));
    must(plait_forward_outputs_init(&out, sizeof(out)));
    in.batch = 1;
    in.length = 7;
    in.ids = in.labels = second;
    must(plait_model_forward(m, &in, &out));
    before = out.loss;
    assert_int_equal(out.label_count, 6);
    must(plait_model_generate(m, &o, prompts, lengths, PROMPTS, &g));
    is_greedy(g);
    plait_generation_free(g);
    must(plait_model_forward(m, &in, &out));
    assert_true(before == out.loss && before > 0);
    plait_model_free(m);
}

static void the_caller_ends_it(void **state)
{
    struct plait_generate_options o;
    struct plait_generation *g;
    struct plait_model *m;
    struct heard heard = { .stop_after = 4 };
    int64_t length;

    (void)state;
    begin(&m, &o);
    o.token = hear;
    o.context = &heard;
    must(plait_model_generate(m, &o, prompts, lengths, PROMPTS, &g));
    assert_int_equal(heard.total, 4);
    assert_null(plait_generation_ids(g, 1, &length));
    assert_int_equal(length, 0);
    plait_generation_free(g);
    heard = (struct heard){ 0 };
    must(plait_model_generate(m, &o, prompts, lengths, PROMPTS, &g));
    is_greedy(g);
    plait_generation_free(g);
    plait_model_free(m);
}

static void ends_where_it_is_told(void **state)
{
    const int32_t end[] = { 33 };
    struct plait_generate_options o;
    struct plait_generation *g;
    struct plait_model *m;

    (void)state;
    begin(&m, &o);
    o.eos_tokens = end;
    o.eos_count = 1;
    must(plait_model_generate(m, &o, prompts, lengths, PROMPTS, &g));
    is_sequence(g, 1, greedy_second, 8);
    is_sequence(g, 2, greedy_third, 3);
    plait_generation_free(g);
    plait_model_free(m);
}

static void refuses(void **state)
{
    struct plait_generate_options o;
    struct plait_generation *g = NULL;
    struct plait_model *m;
    const int32_t bad[] = { 200 };
    const int32_t *const bad_prompts[] = { bad }, *const no_prompts[] = { NULL };
    const char *const stops[] = { "the" };

    (void)state;
    begin(&m, &o);
    refused(plait_generate_options_init(NULL, &o, sizeof(o)), PLAIT_ERROR_USAGE, "m is NULL");
    refused(plait_generate_options_init(m, NULL, sizeof(o)), PLAIT_ERROR_USAGE, "o is NULL");
    refused(plait_generate_options_init(m, &o, 12), PLAIT_ERROR_USAGE, "wrong size");
    refused(plait_model_generate(NULL, &o, prompts, lengths, 1, &g), PLAIT_ERROR_USAGE, "m is NULL");
    refused(plait_model_generate(m, NULL, prompts, lengths, 1, &g), PLAIT_ERROR_USAGE, "options is NULL");
    refused(plait_model_generate(m, &o, NULL, lengths, 1, &g), PLAIT_ERROR_USAGE, "prompts is NULL");
    refused(plait_model_generate(m, &o, prompts, NULL, 1, &g), PLAIT_ERROR_USAGE, "lengths is NULL");
    refused(plait_model_generate(m, &o, prompts, lengths, 1, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    refused(plait_model_generate(m, &o, prompts, lengths, 0, &g), PLAIT_ERROR_USAGE, "number of prompts");
    refused(plait_model_generate(m, &o, no_prompts, lengths, 1, &g), PLAIT_ERROR_USAGE,
            "prompt 0 has no ids");
    refused(plait_model_generate(m, &o, bad_prompts, (const int64_t[]){ 1 }, 1, &g), PLAIT_ERROR_DATA,
            "found 200");
    o.num_return_sequences = 2;
    refused(plait_model_generate(m, &o, prompts, lengths, 1, &g), PLAIT_ERROR_CONFIG, "num_return_sequences");
    o.num_return_sequences = 1;
    o.early_stopping = 7;
    refused(plait_model_generate(m, &o, prompts, lengths, 1, &g), PLAIT_ERROR_USAGE, "early_stopping");
    o.early_stopping = 0;
    o.eos_count = 33;
    refused(plait_model_generate(m, &o, prompts, lengths, 1, &g), PLAIT_ERROR_USAGE, "eos_count");
    o.eos_count = -1;
    o.stop_strings = stops;
    o.stop_count = 1;
    refused(plait_model_generate(m, &o, prompts, lengths, 1, &g), PLAIT_ERROR_CONFIG, "tokenizer");
    o.stop_count = 0;
    o.size = 1;
    refused(plait_model_generate(m, &o, prompts, lengths, 1, &g), PLAIT_ERROR_USAGE, "wrong size");
    assert_null(g);
    assert_int_equal(plait_generation_count(NULL), 0);
    assert_null(plait_generation_ids(NULL, 0, NULL));
    plait_generation_free(NULL);
    plait_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy),
        cmocka_unit_test(beams_and_greedy_again),
        cmocka_unit_test(forward_between),
        cmocka_unit_test(the_caller_ends_it),
        cmocka_unit_test(ends_where_it_is_told),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
