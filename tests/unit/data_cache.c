/* Token caches: what is in them, when they are used again, what is noticed, and what a killed process leaves.
 */
#include "data/cache.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/str.h"
#include "data/cache_file.h"
#include "lib/scratch.h"

struct place { /* a data file and a directory for caches, both in the scratch directory */
    char *data, *directory;
    const char *pattern;
    struct tokenizer *tokenizer;
    struct token_cache_options options;
};

static void place_init(struct place *p, void **state, const char *name)
{
    struct str directory;
    str_init(&directory);
    str_appendf(&directory, "%s/cache of %s", (const char *)*state, name);
    *p = (struct place){ .data = scratch_path(state, name), .directory = str_detach(&directory) };
    p->pattern = p->data;
    assert_int_equal(tokenizer_load(GOLDEN_DIR "/tokenizer/encode/mixed", &p->tokenizer), OK);
    p->options = (struct token_cache_options){
        .option = "train_file", .pattern_count = 1, .directory = p->directory, .tokenizer = p->tokenizer
    };
}

static struct token_cache_options *options_of(struct place *p)
{
    p->options.patterns = &p->pattern;
    return &p->options;
}

static void place_release(struct place *p)
{
    tokenizer_free(p->tokenizer);
    mem_free(p->data);
    mem_free(p->directory);
}

static void put(struct place *p, const char *text)
{
    scratch_put(p->data, text, strlen(text));
}

static void make(struct place *p, struct token_cache *c)
{
    if (token_cache_make(options_of(p), c) != OK)
        fail_msg("%s", error_message());
}

/* Makes it and closes it again; whether it had to be made. */
static bool is_made(struct place *p)
{
    struct token_cache c;
    make(p, &c);
    bool made = c.made;
    token_cache_close(&c);
    return made;
}

static void assert_make_fails(struct place *p, int expected, const char *words)
{
    struct token_cache c;
    assert_int_equal(token_cache_make(options_of(p), &c), expected);
    if (!strstr(error_message(), words))
        fail_msg("found \"%s\", expected \"%s\"", error_message(), words);
    error_clear();
}

/* Files in the directory of caches. */
static size_t file_count(const struct place *p)
{
    char **names;
    size_t count;
    assert_int_equal(directory_list(p->directory, &names, &count), OK);
    names_free(names, count);
    return count;
}

static void lines_are_tokenized_one_by_one(void **state)
{
    static const char *const lines[] = { "Hello there, world\n", "\n",
                                         "  <s> twice </s>\n",   "\xe6\x97\xa5\xe6\x9c\xac\n",
                                         "\xff\xfe broken\n",    "no line break" };
    enum { LINES = sizeof(lines) / sizeof(*lines) };
    struct place p;
    struct token_cache c;
    struct encoding all = { 0 };
    struct str text;
    uint64_t ends[LINES];
    place_init(&p, state, "lines.txt");
    str_init(&text);
    struct encoder *e = encoder_create(p.tokenizer);
    for (int i = 0; i < LINES; i++) {
        str_append(&text, lines[i]);
        assert_int_equal(tokenizer_encode(e, lines[i], strlen(lines[i]), NULL, &all), OK);
        ends[i] = all.count;
    }
    put(&p, text.data);
    make(&p, &c);
    int32_t *ids = mem_alloc_array(all.count, sizeof(*ids)),
            *labels = mem_alloc_array(all.count, sizeof(*ids));
    assert_true(c.made);
    assert_int_equal(c.width, 2);
    assert_int_equal(c.token_count, all.count);
    assert_int_equal(c.label_count, all.count);
    assert_int_equal(c.document_count, LINES);
    assert_int_equal(c.data_bytes, text.length);
    assert_null(c.labels);
    assert_memory_equal(c.ends, ends, sizeof(ends));
    assert_int_equal(token_cache_read(&c, 0, c.token_count, ids, labels), OK);
    assert_memory_equal(ids, all.ids, all.count * sizeof(*ids));
    assert_memory_equal(labels, all.ids, all.count * sizeof(*ids));
    assert_int_equal(token_cache_read(&c, 3, 2, ids, NULL), OK);
    assert_memory_equal(ids, all.ids + 3, 2 * sizeof(*ids));
    assert_int_equal(token_cache_read(&c, c.token_count, 1, ids, NULL), ERR_DATA);
    error_clear();
    token_cache_close(&c);
    encoder_free(e);
    encoding_release(&all);
    str_release(&text);
    mem_free(ids);
    mem_free(labels);
    place_release(&p);
}

static void options_change_tokens_and_key(void **state)
{
    struct place p;
    struct token_cache plain, changed;
    place_init(&p, state, "options.txt");
    put(&p, "one two\n \t\n\nthree\n");
    assert_int_equal(tokenizer_set_special(p.tokenizer, TOK_EOS, "</s>"), OK);
    make(&p, &plain);
    assert_int_equal(plain.document_count, 4);
    assert_int_equal(plain.empty_count, 0);

    p.options.append_eos = true;
    make(&p, &changed);
    assert_int_equal(changed.token_count, plain.token_count + 4);
    int32_t last;
    assert_int_equal(token_cache_read(&changed, changed.token_count - 1, 1, &last, NULL), OK);
    assert_int_equal(last, tokenizer_special_id(p.tokenizer, TOK_EOS));
    assert_int_not_equal(changed.key, plain.key);
    token_cache_close(&changed);

    p.options.append_eos = false;
    p.options.drop_linebreaks = true;
    make(&p, &changed);
    assert_true(changed.made);
    assert_int_equal(changed.token_count, plain.token_count - 4);
    assert_int_equal(changed.empty_count, 1);
    token_cache_close(&changed);

    p.options.drop_blank = true;
    make(&p, &changed);
    assert_true(changed.made);
    assert_int_equal(changed.document_count, 4);
    assert_int_equal(changed.empty_count, 2);
    token_cache_close(&changed);
    token_cache_close(&plain);
    place_release(&p);
}

static void what_changed_is_noticed(void **state)
{
    struct place p;
    char *other = scratch_path(state, "renamed.txt");
    place_init(&p, state, "again.txt");
    put(&p, "the same text\n");
    assert_true(is_made(&p));
    assert_false(is_made(&p));
    assert_int_equal(rename(p.data, other), 0);
    p.pattern = other;
    assert_false(is_made(&p)); /* names do not matter */
    p.pattern = p.data;
    put(&p, "the same texts\n");
    assert_true(is_made(&p));
    put(&p, "the same text\n");
    assert_false(is_made(&p)); /* the first one is still there */
    p.options.overwrite = true;
    assert_true(is_made(&p));
    p.options.overwrite = false;
    tokenizer_free(p.tokenizer);
    assert_int_equal(tokenizer_load(GOLDEN_DIR "/tokenizer/encode/english", &p.tokenizer), OK);
    p.options.tokenizer = p.tokenizer;
    assert_true(is_made(&p));
    assert_int_equal(file_count(&p), 3);
    mem_free(other);
    place_release(&p);
}

/* Some 3 MB, so that there are many tiles. */
static void put_much(struct place *p)
{
    struct str s;
    str_init(&s);
    for (int i = 0; i < 60000; i++)
        str_appendf(&s, "line %d says %x, and then %o.\n%s", i, i * 7919, i * 31, i % 7 ? "" : "\n");
    put(p, s.data);
    str_release(&s);
}

static void any_number_of_threads_gives_the_same_file(void **state)
{
    struct place p;
    struct token_cache c;
    struct str one, three;
    place_init(&p, state, "threads.txt");
    put_much(&p);
    str_init(&one);
    str_init(&three);
    parallel_set_threads(1);
    make(&p, &c);
    assert_int_equal(file_read(c.path, 0, &one), OK);
    token_cache_close(&c);
    parallel_set_threads(3);
    p.options.overwrite = true;
    make(&p, &c);
    assert_int_equal(file_read(c.path, 0, &three), OK);
    token_cache_close(&c);
    parallel_set_threads(parallel_cpus());
    assert_true(one.length > 1000000);
    assert_int_equal(one.length, three.length);
    assert_memory_equal(one.data, three.data, one.length);
    str_release(&one);
    str_release(&three);
    place_release(&p);
}

static void damage_is_noticed(void **state)
{
    struct place p;
    struct token_cache c;
    struct str good, now;
    place_init(&p, state, "damage.txt");
    put(&p, "A text of a few words.\nAnd another line, for the sake of it.\n");
    make(&p, &c);
    char *path = mem_strdup(c.path);
    token_cache_close(&c);
    str_init(&good);
    assert_int_equal(file_read(path, 0, &good), OK);
    const size_t header = sizeof(struct cache_header);
    for (size_t i = 0; i < good.length; i += i < header || i >= CACHE_PAGE ? 1 : 500) {
        bool padding = i >= header && i < CACHE_PAGE;
        good.data[i] ^= 0x10;
        scratch_put(path, good.data, good.length);
        good.data[i] ^= 0x10;
        if (padding == is_made(&p))
            fail_msg("byte %zu", i);
    }
    static const size_t cuts[] = { 0, 1, sizeof(struct cache_header) - 1, 4095, 4096, 4097 };
    for (int i = 0; i < 6; i++) {
        scratch_put(path, good.data, cuts[i]);
        assert_true(is_made(&p));
    }
    scratch_put(path, good.data, good.length - 1);
    assert_true(is_made(&p));
    assert_int_equal(truncate(path, (off_t)good.length + 8), 0);
    assert_true(is_made(&p));
    str_init(&now);
    assert_int_equal(file_read(path, 0, &now), OK);
    assert_int_equal(now.length, good.length);
    assert_memory_equal(now.data, good.data, good.length);
    assert_int_equal(file_count(&p), 1);
    str_release(&good);
    str_release(&now);
    mem_free(path);
    place_release(&p);
}

static void a_file_cut_off_in_use_is_an_error(void **state)
{
    struct place p;
    struct token_cache c;
    int32_t id;
    place_init(&p, state, "cut.txt");
    put_much(&p);
    make(&p, &c);
    assert_int_equal(truncate(c.path, 4096), 0);
    assert_int_equal(token_cache_read(&c, c.token_count - 1, 1, &id, NULL), ERR_IO);
    error_clear();
    token_cache_close(&c);
    place_release(&p);
}

static void labels_are_kept(void **state)
{
    static const int32_t ids[] = { 1, 2, 70000, 5 }, labels[] = { -100, 2, 3, -100 };
    struct place p;
    struct token_cache c;
    int32_t found[4], beside[4];
    place_init(&p, state, "labels.jsonl");
    p.options.tokenizer = NULL;
    put(&p, "{\"input_ids\": [1, 2, 70000], \"labels\": [-100, 2, 3]}\n"
            "{\"input_ids\": [5], \"labels\": [-100]}\n");
    make(&p, &c);
    assert_int_equal(c.width, 4);
    assert_int_equal(c.max_id, 70000);
    assert_int_equal(c.label_count, 2);
    assert_int_equal(c.empty_count, 1);
    assert_int_equal(token_cache_read(&c, 0, 4, found, beside), OK);
    assert_memory_equal(found, ids, sizeof(ids));
    assert_memory_equal(beside, labels, sizeof(labels));
    token_cache_close(&c);
    p.options.id_limit = 70001;
    assert_false(is_made(&p));
    place_release(&p);
}

static void what_cannot_be_used_is_refused(void **state)
{
    struct place p;
    place_init(&p, state, "bad.jsonl");
    put(&p, "{\"input_ids\": [1], \"labels\": [1]}\n{\"input_ids\": [1]}\n");
    assert_make_fails(&p, ERR_DATA, "bad.jsonl:2: no labels, but what comes first in the data has them");
    put(&p, "{\"input_ids\": [1]}\n\n{\"input_ids\": [1], \"labels\": [1]}\n");
    assert_make_fails(&p, ERR_DATA, "bad.jsonl:3: labels, but what comes first in the data has none");
    put(&p, "{\"input_ids\": [1, 2]}\n{\"input_ids\": [3, 64, 1]}\n");
    p.options.id_limit = 64;
    assert_make_fails(&p, ERR_DATA,
                      "bad.jsonl:2: token 1 is outside the vocabulary (found 64, expected less than 64)");
    p.options.id_limit = 65;
    assert_true(is_made(&p));
    p.options.id_limit = 64; /* the cache is there, still its ids are too large */
    assert_make_fails(&p, ERR_DATA, "outside the vocabulary");
    put(&p, "{\"input_ids\": [1], \"labels\": [-100]}\n");
    assert_make_fails(&p, ERR_DATA, "no token has a label");
    put(&p, "{\"input_ids\": []}\n");
    assert_make_fails(&p, ERR_DATA, "no tokens in 1 file (");
    put(&p, "");
    assert_make_fails(&p, ERR_DATA, "no tokens in 1 file (");
    assert_int_equal(file_count(&p), 1);
    place_release(&p);

    place_init(&p, state, "bad.txt");
    p.options.tokenizer = NULL;
    put(&p, "text\n");
    assert_make_fails(&p, ERR_USAGE, "bad.txt:1: text needs a tokenizer");
    place_release(&p);
}

static void bad_rows_may_be_skipped(void **state)
{
    struct place p;
    struct token_cache c;
    place_init(&p, state, "skip.jsonl");
    put(&p, "{\"input_ids\": [1]}\nno\n{\"input_ids\": [2]}\n{\"input_ids\": 3}\n");
    assert_make_fails(&p, ERR_DATA, "skip.jsonl:2:1: ");
    p.options.max_bad = 1;
    assert_make_fails(&p, ERR_DATA, "and more than 1 bad lines");
    p.options.max_bad = 2;
    make(&p, &c);
    assert_int_equal(c.bad_count, 2);
    assert_int_equal(c.token_count, 2);
    token_cache_close(&c);
    p.options.max_bad = 0; /* what another policy has skipped is no excuse */
    assert_make_fails(&p, ERR_DATA, "skip.jsonl:2:1: ");
    place_release(&p);
}

static bool stop_late(void *context, uint64_t done, uint64_t total)
{
    int *calls = context;
    ++*calls;
    return done < total || total == 0;
}

static void work_can_be_stopped(void **state)
{
    struct place p;
    struct token_cache c;
    int calls = 0;
    place_init(&p, state, "stop.txt");
    put_much(&p);
    p.options.progress = stop_late;
    p.options.context = &calls;
    assert_int_equal(token_cache_make(options_of(&p), &c), ERR_STOPPED);
    error_clear();
    assert_int_equal(calls, 2);
    assert_int_equal(file_count(&p), 0);
    place_release(&p);
}

static bool be_killed(void *context, uint64_t done, uint64_t total)
{
    if (done == total)
        raise(SIGKILL);
    return true;
}

static void one_process_works_and_the_others_wait(void **state)
{
    struct place p;
    struct token_cache c;
    int made = 0, status;
    place_init(&p, state, "many.txt");
    put_much(&p);
    parallel_set_threads(1); /* threads do not survive fork() */
    for (int i = 0; i < 5; i++) {
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            if (i == 0) { /* leaves its temporary file behind */
                p.options.progress = be_killed;
                p.options.overwrite = true;
            }
            int failed = token_cache_make(options_of(&p), &c);
            _exit(failed ? 9 : c.token_count < 100000 ? 8 : c.made);
        }
        if (i == 0) {
            assert_int_equal(waitpid(pid, &status, 0), pid);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            assert_int_equal(file_count(&p), 2); /* what it wrote and the lock's file */
        }
    }
    for (int i = 1; i < 5; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        made += WEXITSTATUS(status);
    }
    assert_int_equal(made, 1);
    assert_int_equal(file_count(&p), 1);
    parallel_set_threads(parallel_cpus());
    place_release(&p);
}

/* The last test: the environment is not put back. */
static void directories_are_chosen(void **state)
{
    struct str home, xdg;
    str_init(&home);
    str_init(&xdg);
    str_appendf(&home, "%s/home", (const char *)*state);
    str_appendf(&xdg, "%s/xdg", (const char *)*state);
    char *d;

    setenv("HOME", home.data, 1);
    setenv("XDG_CACHE_HOME", xdg.data, 1);
    d = token_cache_directory("given", "out");
    assert_string_equal(d, "given/tokens");
    mem_free(d);
    d = token_cache_directory(NULL, "out");
    assert_true(str_starts_with(d, xdg.data) && str_ends_with(d, "/plait/tokens") && file_is_directory(d));
    mem_free(d);
    setenv("XDG_CACHE_HOME", "relative", 1); /* as good as unset */
    d = token_cache_directory(NULL, "out");
    assert_true(str_starts_with(d, home.data) && str_ends_with(d, "/.cache/plait/tokens"));
    mem_free(d);
    setenv("HOME", "/dev/null", 1);
    d = token_cache_directory(NULL, "out");
    assert_string_equal(d, "out/tokens");
    mem_free(d);

    str_release(&home);
    str_release(&xdg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_tokenized_one_by_one),
        cmocka_unit_test(options_change_tokens_and_key),
        cmocka_unit_test(what_changed_is_noticed),
        cmocka_unit_test(one_process_works_and_the_others_wait),
        cmocka_unit_test(any_number_of_threads_gives_the_same_file),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(a_file_cut_off_in_use_is_an_error),
        cmocka_unit_test(labels_are_kept),
        cmocka_unit_test(what_cannot_be_used_is_refused),
        cmocka_unit_test(bad_rows_may_be_skipped),
        cmocka_unit_test(work_can_be_stopped),
        cmocka_unit_test(directories_are_chosen),
    };
    return cmocka_run_group_tests(tests, scratch_create, scratch_remove);
}
