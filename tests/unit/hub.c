/* From names of models to directories, in made-up caches. */
#include "ckpt/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "lib/scratch.h"

static void make_directory(void **state, const char *name)
{
    char *path = scratch_path(state, name);
    assert_int_equal(directory_create(path), OK);
    mem_free(path);
}

static void put(void **state, const char *name, const char *text)
{
    char *path = scratch_path(state, name);
    scratch_put(path, text, strlen(text));
    mem_free(path);
}

static int create(void **state)
{
    if (scratch_create(state) != 0)
        return -1;
    make_directory(state, "cache/models--org--name/refs/refs/pr");
    make_directory(state, "cache/models--org--name/snapshots/abc123");
    make_directory(state, "cache/models--org--name/snapshots/def456");
    put(state, "cache/models--org--name/refs/main", "abc123\n");
    put(state, "cache/models--org--name/refs/refs/pr/1", "def456");
    make_directory(state, "home/.cache/huggingface/hub/models--openai-community--gpt2/snapshots/1");
    make_directory(state, "home/.cache/huggingface/hub/models--openai-community--gpt2/refs");
    put(state, "home/.cache/huggingface/hub/models--openai-community--gpt2/refs/main", "1");
    make_directory(state, "home/.cache/huggingface/hub/models--t5-small/snapshots/2");
    make_directory(state, "home/.cache/huggingface/hub/models--t5-small/refs");
    put(state, "home/.cache/huggingface/hub/models--t5-small/refs/main", "2");
    char *home = scratch_path(state, "home");
    setenv("HOME", home, 1);
    unsetenv("HF_HOME");
    unsetenv("HF_HUB_CACHE");
    mem_free(home);
    error_clear();
    return 0;
}

/* `end` NULL: not found. */
static void expect(void **state, const char *name, const char *revision, const char *end)
{
    char *cache = scratch_path(state, "cache"), *found = NULL;
    struct hub_options o = { .cache_dir = cache, .revision = revision };
    assert_int_equal(hub_find(name, &o, &found, NULL), OK);
    if (end == NULL)
        assert_null(found);
    else if (found == NULL || strlen(found) < strlen(end) ||
             strcmp(found + strlen(found) - strlen(end), end) != 0)
        fail_msg("%s: found %s, expected .../%s", name, found != NULL ? found : "nothing", end);
    mem_free(found);
    mem_free(cache);
}

static void finds_snapshots(void **state)
{
    expect(state, "org/name", NULL, "cache/models--org--name/snapshots/abc123");
    expect(state, "org/name", "main", "snapshots/abc123");
    expect(state, "org/name", "def456", "snapshots/def456");
    expect(state, "org/name", "refs/pr/1", "snapshots/def456");
    expect(state, "org/name", "other", NULL);
    expect(state, "org/other", NULL, NULL);
}

static void knows_old_and_new_names(void **state)
{
    expect(state, "gpt2", NULL, "models--openai-community--gpt2/snapshots/1");
    expect(state, "openai-community/gpt2", NULL, "models--openai-community--gpt2/snapshots/1");
    expect(state, "google-t5/t5-small", NULL, "models--t5-small/snapshots/2");
    expect(state, "t5-small", NULL, "models--t5-small/snapshots/2");
}

static void a_directory_is_a_name(void **state)
{
    char *path = scratch_path(state, "cache");
    expect(state, path, NULL, path);
    mem_free(path);
}

static void asks_the_environment(void **state)
{
    struct hub_options o = { 0 };
    char *home = scratch_path(state, "hf"), *cache = scratch_path(state, "cache"), *found;
    make_directory(state, "hf/hub/models--a--b/snapshots/9");
    assert_int_equal(setenv("HF_HOME", home, 1), 0);
    assert_int_equal(setenv("HF_HUB_CACHE", cache, 1), 0);
    o.revision = "9";
    assert_int_equal(hub_resolve("a/b", &o, &found), OK);
    mem_free(found);
    o.revision = NULL;
    assert_int_equal(hub_resolve("org/name", &o, &found), OK);
    mem_free(found);
    mem_free(home);
    mem_free(cache);
}

static void names_the_places(void **state)
{
    char *cache = scratch_path(state, "cache"), *found;
    struct hub_options o = { .cache_dir = cache };
    struct str expected;
    assert_int_equal(hub_resolve("org/none", &o, &found), ERR_OPEN);
    str_init(&expected);
    str_appendf(
        &expected,
        "model \"org/none\" not found (looked in directory org/none, %s, %s/home/.cache/huggingface/hub)",
        cache, (const char *)*state);
    assert_string_equal(error_message(), expected.data);
    str_release(&expected);
    error_clear();
    mem_free(cache);
}

/* Names, revisions and refs never lead out of the cache. */
static void stays_inside(void **state)
{
    static const char *const names[] = { "../cache", "org/../x", "a/b/c", "/etc", "-x",
                                         ".x",       "org/",     "",      "a b",  "org/.." };
    struct hub_options o = { .revision = "../../x" };
    char *found;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], "/etc") != 0)
            expect(state, names[i], NULL, NULL);
    }
    assert_int_equal(hub_find("org/name", &o, &found, NULL), ERR_USAGE);
    error_clear();
    put(state, "cache/models--org--name/refs/main", "../../..");
    expect(state, "org/name", NULL, NULL);
    put(state, "cache/models--org--name/refs/main", "");
    expect(state, "org/name", NULL, NULL);
}

#define IN_CACHE(test) cmocka_unit_test_setup_teardown(test, create, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CACHE(finds_snapshots),      IN_CACHE(knows_old_and_new_names), IN_CACHE(a_directory_is_a_name),
        IN_CACHE(asks_the_environment), IN_CACHE(names_the_places),        IN_CACHE(stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
