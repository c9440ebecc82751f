/* Generation and masks through the library: the goldens' tokens, each told as it comes; ending early; misuse.
 */
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

static void begin(struct plait_model **m, struct plait_generate_request *r, const char *const *layout)
{
    must(plait_model_open(GOLDEN_DIR "/gpt2/generate/model", layout, m));
    *r = (struct plait_generate_request){
        .size = sizeof(*r), .prompts = prompts, .lengths = lengths, .count = PROMPTS
    };
}

static const char *const greedily[] = { "max_new_tokens", "20", NULL };

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

/* On copies of the model the caller hears the tokens of all. */
static void greedy(void **state)
{
    static const char *const copies[] = { "data_parallel_size", "2", NULL };
    struct plait_generate_request r;
    struct plait_generation *g;
    struct plait_model *m;
    struct heard heard = { 0 };
    int64_t length;

    begin(&m, &r, *state ? copies : NULL);
    r.token = hear;
    r.context = &heard;
    must(plait_model_generate(m, greedily, &r, &g));
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
    static const char *const beams[] = { "num_beams", "4", "num_return_sequences", "2", "max_new_tokens",
                                         "12",        NULL };
    static const char *const one_by_one[] = { "max_new_tokens", "20", "batch_size", "1", NULL };
    struct plait_generate_request r;
    struct plait_generation *g;
    struct plait_model *m;

    (void)state;
    begin(&m, &r, NULL);
    must(plait_model_generate(m, beams, &r, &g));
    assert_int_equal(plait_generation_count(g), 2 * PROMPTS);
    for (int64_t i = 0; i < PROMPTS; i++) {
        assert_true(plait_generation_score(g, 2 * i) >= plait_generation_score(g, 2 * i + 1));
        assert_true(plait_generation_score(g, 2 * i) < 0);
    }
    plait_generation_free(g);
    must(plait_model_generate(m, one_by_one, &r, &g));
    is_greedy(g);
    plait_generation_free(g);
    plait_model_free(m);
}

/* A forward before and after does not disturb the weights they share; on a layout with stages too. */
static void forward_between(void **state)
{
    static const char *const layouts[][5] = {
        { NULL },
        { "pipeline_parallel_size", "2", "tensor_parallel_size", "2", NULL },
        { "data_parallel_size", "2", "world_size", "2", NULL },
    };
    const struct plait_array in[] = { ints("input_ids", second, 1, 7), ints("labels", second, 1, 7) };
    struct plait_generate_request r;
    struct plait_generation *g;
    struct plait_model *m;
    float before;

    (void)state;
    for (int i = 0; i < 3; i++) {
        begin(&m, &r, layouts[i]);
        must(plait_model_forward(m, in, 2, 0, NULL));
        before = loss_of(m);
        assert_int_equal(*(const int64_t *)output(m, "label_count").data, 6);
        must(plait_model_generate(m, greedily, &r, &g));
        is_greedy(g);
        plait_generation_free(g);
        must(plait_model_forward(m, in, 2, PLAIT_GRADIENTS, NULL));
        must(plait_model_forward(m, in, 2, 0, NULL));
        assert_true(before == loss_of(m) && before > 0);
        plait_model_free(m);
    }
}

static void the_caller_ends_it(void **state)
{
    struct plait_generate_request r;
    struct plait_generation *g;
    struct plait_model *m;
    struct heard heard = { .stop_after = 4 };
    int64_t length;

    (void)state;
    begin(&m, &r, NULL);
    r.token = hear;
    r.context = &heard;
    must(plait_model_generate(m, greedily, &r, &g));
    assert_int_equal(heard.total, 4);
    assert_null(plait_generation_ids(g, 1, &length));
    assert_int_equal(length, 0);
    plait_generation_free(g);
    heard = (struct heard){ 0 };
    must(plait_model_generate(m, greedily, &r, &g));
    is_greedy(g);
    plait_generation_free(g);
    plait_model_free(m);
}

static void ends_where_it_is_told(void **state)
{
    static const char *const at_33[] = {
        "max_new_tokens", "20", "eos_token_id", "5", "eos_token_id", "33", NULL
    };
    struct plait_generate_request r;
    struct plait_generation *g;
    struct plait_model *m;

    (void)state;
    begin(&m, &r, NULL);
    must(plait_model_generate(m, at_33, &r, &g));
    is_sequence(g, 1, greedy_second, 8);
    is_sequence(g, 2, greedy_third, 3);
    plait_generation_free(g);
    plait_model_free(m);
}

/* Case "greedy" of t5/generate: the prompt goes to the encoder. On several ranks too. */
static void an_encoder_reads_the_prompt(void **state)
{
    static const int32_t short_one[] = { 46, 57, 32 }, long_one[] = { 7, 18, 26, 2, 33, 42, 53, 5, 49 };
    static const int32_t *const both[] = { short_one, long_one };
    static const char *const layouts[][5] = {
        { NULL },
        { "tensor_parallel_size", "2", NULL },
        { "pipeline_parallel_size", "2", "world_size", "2", NULL },
    };
    static const int32_t expected[2][11] = { { 0, 16, 1 }, { 0, 15, 32, 28, 41, 18, 27, 26, 32, 11, 1 } };
    struct plait_generate_request r;
    struct plait_generation *g;
    struct plait_model *m;

    (void)state;
    for (int i = 0; i < 3; i++) {
        must(plait_model_open(GOLDEN_DIR "/t5/generate/model", layouts[i], &m));
        r = (struct plait_generate_request){
            .size = sizeof(r), .prompts = both, .lengths = (const int64_t[]){ 3, 9 }, .count = 2
        };
        must(plait_model_generate(m, greedily, &r, &g));
        is_sequence(g, 0, expected[0], 3);
        is_sequence(g, 1, expected[1], 11);
        plait_generation_free(g);
        plait_model_free(m);
    }
}

/* ---- masks ---- */

/* The first prompt of bert/fill and what transformers puts in its place. */
static void masks_are_filled(void **state)
{
    static const char prompt[] = "the cat [MASK] on the tree .";
    static const int32_t tokens[] = { 57, 35, 16, 42 };
    static const double probabilities[] = { 0.4744534, 0.1512367, 0.1153928, 0.0500213 };
    struct plait_filling best[4];
    struct plait_tokenizer *t;
    struct plait_model *m;
    int32_t ids[64], mask;
    int64_t length;

    (void)state;
    must(plait_model_open(GOLDEN_DIR "/bert/fill", NULL, &m));
    must(plait_tokenizer_load(GOLDEN_DIR "/bert/fill", &t));
    mask = plait_tokenizer_special_id(t, PLAIT_TOKEN_MASK);
    length = plait_tokenizer_encode(t, prompt, strlen(prompt), 1, ids, 64);
    assert_int_equal(plait_model_fill_mask(m, ids, length, mask, best, 4), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(best[i].token, tokens[i]);
        assert_true(fabs(best[i].probability - probabilities[i]) < 1e-5);
        assert_int_equal(ids[best[i].position], mask);
    }
    plait_tokenizer_free(t);
    plait_model_free(m);
}

/* ---- misuse ---- */

static void refuses(void **state)
{
    static const int32_t bad[] = { 200 };
    static const int32_t *const bad_prompts[] = { bad }, *const no_prompts[] = { NULL };
    struct plait_generate_request r;
    struct plait_generation *g = NULL;
    struct plait_model *m;

    (void)state;
    begin(&m, &r, NULL);
    r.count = 1;
    refused(plait_model_generate(NULL, NULL, &r, &g), PLAIT_ERROR_USAGE, "m is NULL");
    refused(plait_model_generate(m, NULL, NULL, &g), PLAIT_ERROR_USAGE, "request is NULL");
    refused(plait_model_generate(m, NULL, &r, NULL), PLAIT_ERROR_USAGE, "out is NULL");
    r.prompts = NULL;
    refused(plait_model_generate(m, NULL, &r, &g), PLAIT_ERROR_USAGE, "prompts is NULL");
    r.prompts = no_prompts;
    refused(plait_model_generate(m, NULL, &r, &g), PLAIT_ERROR_USAGE, "prompt 0 has no ids");
    r.prompts = bad_prompts;
    r.lengths = (const int64_t[]){ 1 };
    refused(plait_model_generate(m, NULL, &r, &g), PLAIT_ERROR_DATA, "found 200");
    r.prompts = prompts;
    r.lengths = NULL;
    refused(plait_model_generate(m, NULL, &r, &g), PLAIT_ERROR_USAGE, "lengths is NULL");
    r.lengths = lengths;
    r.count = 0;
    refused(plait_model_generate(m, NULL, &r, &g), PLAIT_ERROR_USAGE, "number of prompts");
    r.count = 1;
    r.size = 1;
    refused(plait_model_generate(m, NULL, &r, &g), PLAIT_ERROR_USAGE, "wrong size");
    r.size = sizeof(r) + 8;
    refused(plait_model_generate(m, NULL, &r, &g), PLAIT_ERROR_USAGE, "wrong size");
    assert_non_null(strstr(plait_error_hint(), "newer plait.h"));
    assert_null(g);
    assert_int_equal(plait_generation_count(NULL), 0);
    assert_null(plait_generation_ids(NULL, 0, NULL));
    plait_generation_free(NULL);
    plait_model_free(m);
}

static void refuses_options(void **state)
{
    static const struct {
        const char *name, *value, *words;
        int status;
    } cases[] = {
        { "num_return_sequences", "2", "num_return_sequences", PLAIT_ERROR_USAGE },
        { "early_stopping", "maybe", "expected one of false, true, never", PLAIT_ERROR_USAGE },
        { "eos_token_id", "x", "no token id", PLAIT_ERROR_USAGE },
        { "num_beans", "3", "did you mean --num_beams?", PLAIT_ERROR_USAGE },
        { "min_p", "0.1", "plait filters by", PLAIT_ERROR_USAGE },
        { "stop_strings", "the", "could not locate a tokenizer", PLAIT_ERROR_CONFIG },
        { "prompt", "the", "unknown option", PLAIT_ERROR_USAGE },
    };
    struct plait_generate_request r;
    struct plait_generation *g = NULL;
    struct plait_model *m;

    (void)state;
    begin(&m, &r, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(plait_model_generate(m, (const char *[]){ cases[i].name, cases[i].value, NULL }, &r, &g),
                cases[i].status, cases[i].words);
    plait_model_free(m);
    must(plait_model_open(GOLDEN_DIR "/bert/plain", NULL, &m));
    refused(plait_model_generate(m, NULL, &r, &g), PLAIT_ERROR_CONFIG, "no language-model head");
    plait_model_free(m);
}

static void refuses_masks(void **state)
{
    static const int32_t ids[] = { 1, 2, 3 };
    struct plait_filling best[4];
    struct plait_model *m;

    (void)state;
    must(plait_model_open(GOLDEN_DIR "/bert/fill", NULL, &m));
    refused((int)plait_model_fill_mask(NULL, ids, 3, 4, best, 4), PLAIT_ERROR_USAGE, "m is NULL");
    refused((int)plait_model_fill_mask(m, NULL, 3, 4, best, 4), PLAIT_ERROR_USAGE, "ids is NULL");
    refused((int)plait_model_fill_mask(m, ids, 3, 4, NULL, 4), PLAIT_ERROR_USAGE, "out is NULL");
    refused((int)plait_model_fill_mask(m, ids, 3, 4, best, 4), PLAIT_ERROR_DATA, "no mask");
    refused((int)plait_model_fill_mask(m, ids, 3, 2, best, 0), PLAIT_ERROR_USAGE, "no room");
    plait_model_free(m);
    must(plait_model_open(GOLDEN_DIR "/gpt2/plain", NULL, &m));
    refused((int)plait_model_fill_mask(m, ids, 3, 2, best, 4), PLAIT_ERROR_CONFIG, "fills no masks");
    plait_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy),
        cmocka_unit_test_prestate(greedy, (void *)greedily), /* on copies */
        cmocka_unit_test(beams_and_greedy_again),
        cmocka_unit_test(forward_between),
        cmocka_unit_test(the_caller_ends_it),
        cmocka_unit_test(ends_where_it_is_told),
        cmocka_unit_test(an_encoder_reads_the_prompt),
        cmocka_unit_test(masks_are_filled),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_options),
        cmocka_unit_test(refuses_masks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
