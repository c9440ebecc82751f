/* Generation against transformers' (tests/golden/FAMILY/generate): every case token for token, and the same
 * tokens whatever the size of prefill chunks, the number of prompts at a time and the number of threads. */
#include "gen/gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/parallel.h"
#include "lib/golden_case.h"

#include <cmocka.h>

static const char *const families[] = { "gpt2", "gpt_neo", "llama", "bert", "roberta", "t5" };
enum { FAMILIES = sizeof(families) / sizeof(families[0]) };
enum { MOST_PROMPTS = 16, MOST_RETURNED = 8, MOST_TOKENS = 64 };

struct ids {
    int32_t values[MOST_TOKENS];
    int64_t count;
};

struct test_case {
    const char *family;
    char name[64], model[64];
    struct generation_options options;
    struct ids prompts[MOST_PROMPTS], expected[MOST_PROMPTS][MOST_RETURNED];
    size_t prompt_count;
    int64_t returned;
};

struct suite {
    struct json_reader r;
    struct str text;
};

/* ---- cases.json ---- */

static void read_ids(struct json_reader *r, struct ids *out)
{
    out->count = 0;
    json_array_begin(r);
    while (json_next_element(r)) {
        assert_true(out->count < MOST_TOKENS);
        out->values[out->count++] = (int32_t)json_int(r, 0, 1 << 20);
    }
}

static void read_text(struct json_reader *r, char out[64])
{
    struct json_string s;

    assert_true(json_string(r, &s) && s.length < 64);
    memcpy(out, s.data, s.length);
    out[s.length] = '\0';
}

static void read_options(struct json_reader *r, struct generation_options *o)
{
    struct json_string key;

    json_object_begin(r);
    while (json_next_key(r, &key)) {
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)key.length, key.data);
        if (strcmp(name, "seed") == 0)
            o->seed = json_uint64(r);
        else
            generation_options_read_key(o, r, name);
    }
}

static void read_expected(struct json_reader *r, struct test_case *c)
{
    json_array_begin(r);
    for (size_t i = 0; json_next_element(r); i++) {
        c->returned = 0;
        json_array_begin(r);
        while (json_next_element(r))
            read_ids(r, &c->expected[i][c->returned++]);
    }
}

static void case_path(const struct test_case *c, char path[512])
{
    snprintf(path, 512, GOLDEN_DIR "/%s/generate/%s", c->family, c->model);
}

/* The model comes before the options in the file, so its generation_config.json does as well. */
static void read_case(struct json_reader *r, struct test_case *c)
{
    struct config config;
    struct json_string key;
    char path[512];

    json_object_begin(r);
    while (json_next_key(r, &key)) {
        if (json_key_is(r, "name")) {
            read_text(r, c->name);
        } else if (json_key_is(r, "model")) {
            read_text(r, c->model);
            case_path(c, path);
            must(config_load(&config, path));
            must(generation_options_load(&c->options, path, &config));
            config_release(&config);
        } else if (json_key_is(r, "options")) {
            read_options(r, &c->options);
        } else if (json_key_is(r, "input_ids")) {
            json_array_begin(r);
            while (json_next_element(r))
                read_ids(r, &c->prompts[c->prompt_count++]);
        } else if (json_key_is(r, "ids")) {
            read_expected(r, c);
        } else {
            json_skip(r);
        }
    }
}

/* ---- Running one ---- */

struct arrangement {
    int64_t at_once, chunk;
    int threads;
    struct mesh mesh;
};

struct heard { /* what the callback was told */
    struct ids tokens[MOST_PROMPTS * MOST_RETURNED];
    int64_t returned;
    size_t done;
};

static void hear_token(void *context, size_t prompt, int64_t sequence, int32_t id)
{
    struct heard *h = context;
    struct ids *t = &h->tokens[(int64_t)prompt * h->returned + sequence];

    t->values[t->count++] = id;
}

static void hear_done(void *context, size_t prompt, const struct generated *results)
{
    (void)prompt;
    assert_non_null(results[0].ids);
    ((struct heard *)context)->done++;
}

static void check_sequence(const struct test_case *c, size_t i, const struct generated *g,
                           const struct ids *expected)
{
    if (g->length != expected->count ||
        memcmp(g->ids, expected->values, (size_t)g->length * sizeof(int32_t)) != 0) {
        for (int64_t t = 0; t < g->length; t++)
            fprintf(stderr, " %d", g->ids[t]);
        fail_msg("%s: prompt %zu came out as above", c->name, i);
    }
    int64_t pad = c->options.pad == 0 && c->options.num_beams > 1 ? c->options.eos[0] : c->options.pad;
    for (int64_t t = g->length; t < g->padded; t++)
        assert_int_equal(g->ids[t], pad);
}

static void check_results(const struct test_case *c, const struct model *m,
                          const struct generation_results *r, const struct heard *h)
{
    assert_int_equal(r->count, (int64_t)c->prompt_count * c->returned);
    assert_int_equal(h->done, c->prompt_count);
    for (size_t i = 0; i < c->prompt_count; i++) {
        int64_t padded = r->items[(int64_t)i * c->returned].padded, longest = 0;
        for (int64_t k = 0; k < c->returned; k++) {
            const struct generated *g = &r->items[(int64_t)i * c->returned + k];
            const struct ids *told = &h->tokens[(int64_t)i * c->returned + k];
            check_sequence(c, i, g, &c->expected[i][k]);
            assert_int_equal(g->padded, padded);
            longest = g->length > longest ? g->length : longest;
            int64_t prompt = config_has_encoder(&m->config) ? 1 : c->prompts[i].count;
            assert_int_equal(told->count, g->length - prompt);
            assert_memory_equal(told->values, g->ids + prompt, (size_t)told->count * sizeof(int32_t));
        }
        assert_int_equal(longest, padded);
    }
}

struct job {
    const struct test_case *c;
    const struct arrangement *a;
    struct model m;
    struct prompt prompts[MOST_PROMPTS];
};

static int run_generator(struct job *j, struct store *store, struct comm *comm, int64_t more)
{
    struct heard heard = { .returned = j->c->returned };
    struct generation_request request = { .prompts = j->prompts,
                                          .count = j->c->prompt_count,
                                          .options = &j->c->options,
                                          .token = hear_token,
                                          .done = hear_done,
                                          .context = &heard };
    struct generator_capacity capacity = { .prompts = j->a->at_once + more,
                                           .width = generation_width(&j->c->options) + more,
                                           .chunk = j->a->chunk + more,
                                           .cluster = case_fast_links };
    struct generation_results results;
    struct generator *g;

    TRY(generation_room(&request, &j->m.config, &capacity));
    capacity.positions += more;
    TRY(generator_create(&j->m.config, store, &capacity, comm, &g));
    if (more == 0)
        TRY(model_fill_store(&j->m, store));
    TRY(generator_run(g, &request, &results));
    check_results(j->c, &j->m, &results, &heard);
    generation_results_release(&results);
    generator_free(g);
    return OK;
}

/* The second generator, with room to spare, finds the weights of the first. (On several ranks it may want
 * them to lie otherwise.) */
static int run_rank(void *context, int rank, struct comm *comm)
{
    struct store *store = store_create();

    TRY(run_generator(context, store, comm, 0));
    if (!comm)
        TRY(run_generator(context, store, comm, 1));
    store_free(store);
    return OK;
}

static void run_case(const struct test_case *c, const struct arrangement *a)
{
    struct job j = { .c = c, .a = a };
    char path[512];

    case_path(c, path);
    for (size_t i = 0; i < c->prompt_count; i++)
        j.prompts[i] = (struct prompt){ c->prompts[i].values, c->prompts[i].count };
    must(model_open(&j.m, &(struct model_options){ .name = path }));
    if (mesh_ranks(&a->mesh) > 1)
        must(comm_local_run(&a->mesh, 1, run_rank, &j));
    else
        must(run_rank(&j, 0, NULL));
    model_close(&j.m);
}

static void run_family(const char *family, const struct arrangement *a, const char *only)
{
    char path[512];
    struct json_reader r;
    struct str text;
    int count = 0;

    str_init(&text);
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s/generate/cases.json", family);
    must(file_read(path, 0, &text));
    json_reader_init(&r, "cases.json", text.data, text.length);
    json_array_begin(&r);
    parallel_set_threads(a->threads);
    while (json_next_element(&r)) {
        static struct test_case c;
        c = (struct test_case){ .family = family };
        read_case(&r, &c);
        if (!only || strstr(c.name, only)) {
            run_case(&c, a);
            count++;
        }
        generation_options_release(&c.options);
    }
    must(json_end(&r));
    assert_true(count > 0);
    json_reader_release(&r);
    str_release(&text);
}

static void run_all(const struct arrangement *a, const char *only)
{
    for (int f = 0; f < FAMILIES; f++)
        run_family(families[f], a, only);
}

static void every_case(void **state)
{
    (void)state;
    run_all(&(struct arrangement){ .at_once = 6, .chunk = 128, .threads = 2 }, NULL);
}

static void one_prompt_at_a_time(void **state)
{
    (void)state;
    run_all(&(struct arrangement){ .at_once = 1, .chunk = 1, .threads = 1 }, NULL);
}

/* Prompts that end make room for others; chunks end within prompts. */
static void few_at_a_time_in_odd_chunks(void **state)
{
    (void)state;
    run_all(&(struct arrangement){ .at_once = 2, .chunk = 3, .threads = 3 }, NULL);
    run_all(&(struct arrangement){ .at_once = 16, .chunk = 5, .threads = 1 }, "beam");
}

/* Layers divided among ranks; 3 ranks leave 4 heads and 200 tokens uneven. */
static void on_several_ranks(void **state)
{
    (void)state;
    run_all(&(struct arrangement){ .at_once = 3, .chunk = 4, .threads = 1, .mesh = { { 1, 2 } } }, NULL);
    run_all(&(struct arrangement){ .at_once = 6, .chunk = 64, .threads = 1, .mesh = { { 1, 3 } } }, "beam3");
}

/* Layers on several ranks one behind the other: two microbatches of rows where there are two sequences. */
static void through_stages(void **state)
{
    const struct mesh stages = { { 1, 1, 2 } }, both = { { 1, 2, 2 } };

    (void)state;
    run_all(&(struct arrangement){ .at_once = 3, .chunk = 4, .threads = 1, .mesh = stages }, NULL);
    run_all(&(struct arrangement){ .at_once = 1, .chunk = 64, .threads = 1, .mesh = stages }, "greedy");
    run_all(&(struct arrangement){ .at_once = 6, .chunk = 5, .threads = 1, .mesh = both }, "beam3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
        cmocka_unit_test(one_prompt_at_a_time),
        cmocka_unit_test(few_at_a_time_in_odd_chunks),
        cmocka_unit_test(on_several_ranks),
        cmocka_unit_test(through_stages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
