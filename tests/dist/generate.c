/* Generation on several ranks, in stages that have unequally many layers: token for token what one rank
 * gives, greedy, sampled and searched, with more prompts than run at the same time. */
#include "gen/gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "ckpt/hf.h"
#include "lib/golden_case.h"

#include <cmocka.h>

enum { PROMPTS = 5, LONGEST = 9, NEW = 8, MOST_RESULTS = 3 * PROMPTS };

static const struct family {
    const char *preset, *overrides;
} families[] = {
    { "gpt2", "n_layer=5,n_embd=16,n_head=4,n_positions=32,vocab_size=61,bos_token_id=1,eos_token_id=1" },
    { "EleutherAI/gpt-neo-125m",
      "num_layers=6,hidden_size=16,num_heads=4,max_position_embeddings=32,vocab_size=61,window_size=4,"
      "bos_token_id=1,eos_token_id=1" },
    { "huggyllama/llama-7b",
      "num_hidden_layers=5,hidden_size=16,intermediate_size=24,num_attention_heads=4,num_key_value_heads=2,"
      "max_position_embeddings=32,vocab_size=61,tie_word_embeddings=true" },
    { "bert-base-uncased",
      "num_hidden_layers=5,hidden_size=16,intermediate_size=24,num_attention_heads=4,"
      "max_position_embeddings=32,vocab_size=61,is_decoder=true,architectures=BertLMHeadModel" },
    { "roberta-base",
      "num_hidden_layers=5,hidden_size=16,intermediate_size=24,num_attention_heads=4,"
      "max_position_embeddings=40,vocab_size=61,is_decoder=true,architectures=RobertaForCausalLM" },
    { "t5-small", "num_layers=2,num_decoder_layers=3,d_model=16,d_kv=4,d_ff=24,num_heads=4,vocab_size=61" },
};
enum { FAMILIES = sizeof(families) / sizeof(families[0]) };

static const struct mesh meshes[] = { { { 1, 2 } },    { { 1, 1, 2 } }, { { 1, 2, 2 } },
                                      { { 1, 1, 4 } }, { { 3 } },       { { 2, 1, 2 } } };
enum { MESHES = sizeof(meshes) / sizeof(meshes[0]) };

static const struct way {
    int64_t beams, returned;
    bool sample;
} ways[] = { { 1, 1, false }, { 1, 3, true }, { 3, 2, false }, { 3, 3, true } };
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

struct outcome {
    int32_t ids[MOST_RESULTS][LONGEST + NEW + 1];
    int64_t length[MOST_RESULTS];
    size_t count;
    bool stopped;
};

struct run {
    struct config config;
    struct generation_options options;
    int32_t ids[PROMPTS][LONGEST];
    struct prompt prompts[PROMPTS];
    struct outcome outcomes[8]; /* of each rank */
    int answers;                /* after so many, rank 0 wants no more; 0: nobody says so */
};

static void set_prompts(struct run *r)
{
    for (int i = 0; i < PROMPTS; i++) {
        for (int t = 0; t < LONGEST; t++)
            r->ids[i][t] =
                (int32_t)(rng_uniform((struct rng_key){ 5, 1 }, (uint64_t)i, (uint64_t)t) * 58) + 2;
        r->prompts[i] = (struct prompt){ r->ids[i], 1 + (i * 4) % LONGEST };
    }
}

static void keep(struct outcome *o, const struct generation_results *results)
{
    o->count = results->count;
    for (size_t i = 0; i < results->count; i++) {
        o->length[i] = results->items[i].length;
        memcpy(o->ids[i], results->items[i].ids, (size_t)o->length[i] * sizeof(int32_t));
    }
}

static bool proceed(void *context)
{
    int *left = context;

    return *left == 0 || --*left > 0;
}

static int generate(void *context, int rank, struct comm *comm)
{
    struct run *r = context;
    int left = rank == 0 ? r->answers : 0;
    struct generation_request request = {
        .prompts = r->prompts, .count = PROMPTS, .options = &r->options, .proceed = proceed, .context = &left
    };
    struct generator_capacity capacity = {
        .prompts = 3, .width = generation_width(&r->options), .chunk = 5, .cluster = case_fast_links
    };
    struct store *store = store_create();
    struct generation_results results;
    struct generator *g;

    TRY(generation_room(&request, &r->config, &capacity));
    TRY(generator_create(&r->config, store, &capacity, comm, &g));
    model_init_store(store, 11);
    for (size_t i = 0; i < store_count(store); i++) /* so that tokens differ */
        for (int64_t k = 0; k < store_at(store, i)->bytes / 4; k++)
            store_at(store, i)->data[k] *= store_at(store, i)->kind == TENSOR_PARAM ? 8 : 1;
    TRY(generator_run(g, &request, &results));
    r->outcomes[rank].stopped = results.stopped;
    if (!results.stopped)
        keep(&r->outcomes[rank], &results);
    generation_results_release(&results);
    generator_free(g);
    store_free(store);
    return OK;
}

static void run_way(struct run *r, const struct family *family, const struct way *way,
                    const struct mesh *mesh)
{
    *r = (struct run){ .answers = r->answers };
    set_prompts(r);
    must(config_preset(&r->config, family->preset));
    must(config_override(&r->config, family->overrides));
    generation_options_init(&r->options);
    r->options.max_new_tokens = NEW;
    r->options.num_beams = way->beams;
    r->options.num_return_sequences = way->returned;
    r->options.do_sample = way->sample;
    r->options.decoder_start = 1;
    r->options.no_repeat_ngram_size = 1;
    r->options.seed = 3;
    must(mesh ? comm_local_run(mesh, 1, generate, r) : generate(r, 0, NULL));
    generation_options_release(&r->options);
    config_release(&r->config);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->length[i] != b->length[i] ||
            memcmp(a->ids[i], b->ids[i], (size_t)a->length[i] * sizeof(int32_t)) != 0)
            return false;
    return a->count == b->count;
}

static int distinct(const struct outcome *o)
{
    bool seen[64] = { false };
    int count = 0;

    for (size_t i = 0; i < o->count; i++)
        for (int64_t t = o->length[i] - NEW / 2; t < o->length[i]; t++) {
            count += !seen[o->ids[i][t]];
            seen[o->ids[i][t]] = true;
        }
    return count;
}

static void follows_one_rank(void **state)
{
    const struct family *family = *state;
    static struct run one, r;

    for (int w = 0; w < WAYS; w++) {
        run_way(&one, family, &ways[w], NULL);
        assert_int_equal(one.outcomes[0].count, PROMPTS * ways[w].returned);
        assert_true(distinct(&one.outcomes[0]) > 10); /* tokens: else nothing is shown */
        for (int m = 0; m < MESHES; m++) {
            run_way(&r, family, &ways[w], &meshes[m]);
            for (int k = 0; k < mesh_ranks(&meshes[m]); k++)
                if (!same(&r.outcomes[k], &one.outcomes[0]))
                    fail_msg("%s, way %d, dp %d, tp %d, pp %d: rank %d has other tokens", family->preset, w,
                             mesh_size(&meshes[m], AXIS_DP), mesh_size(&meshes[m], AXIS_TP),
                             mesh_size(&meshes[m], AXIS_PP), k);
        }
    }
}

/* Rank 0 stops within a prompt that is longer than a chunk, where the other copy is not asked. */
static void copies_stop_together(void **state)
{
    static struct run r;

    (void)state;
    for (r.answers = 1; r.answers <= 4; r.answers++) {
        run_way(&r, &families[0], &ways[0], &(struct mesh){ { 2 } });
        assert_true(r.outcomes[0].stopped && r.outcomes[1].stopped);
    }
}

int main(void)
{
    struct CMUnitTest tests[FAMILIES + 1] = { [FAMILIES] = cmocka_unit_test(copies_stop_together) };

    for (int i = 0; i < FAMILIES; i++)
        tests[i] = (struct CMUnitTest){ .name = families[i].preset,
                                        .test_func = follows_one_rank,
                                        .initial_state = (void *)(uintptr_t)&families[i] };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
