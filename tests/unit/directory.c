/* Directories, patterns and paths; above all that removing one never leaves it. */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "lib/scratch.h"

static void assert_failed(int status, int expected, const char *words)
{
    assert_int_equal(status, expected);
    assert_non_null(strstr(error_message(), words));
    error_clear();
}

static void make(void **state, const char *name)
{
    char *path = scratch_path(state, name);
    assert_int_equal(directory_create(path), OK);
    mem_free(path);
}

static void put(void **state, const char *name)
{
    char *path = scratch_path(state, name);
    scratch_put(path, "x", 1);
    mem_free(path);
}

static bool exists(void **state, const char *name)
{
    struct stat info;
    char *path = scratch_path(state, name);
    bool there = lstat(path, &info) == 0;
    mem_free(path);
    return there;
}

static int remove_directory(void **state, const char *name)
{
    char *path = scratch_path(state, name);
    int status = directory_remove(path);
    mem_free(path);
    return status;
}

static void directories_are_made_with_parents(void **state)
{
    char *inside_file = scratch_path(state, "file/below"), *file = scratch_path(state, "file");
    make(state, "a/b/c");
    make(state, "a/b/c");
    make(state, "a//d/");
    assert_true(exists(state, "a/b/c") && exists(state, "a/d"));
    put(state, "file");
    assert_failed(directory_create(file), ERR_CREATE, "/file: cannot create the directory: File exists");
    assert_int_equal(directory_create(inside_file), ERR_CREATE);
    error_clear();
    if (directory_create("/sys/plait/x") != OK) /* a place where nobody may make one */
        assert_null(strstr(error_message(), "No such file"));
    error_clear();
    assert_int_equal(directory_sync(*state), OK);
    assert_failed(directory_sync(file), ERR_IO, "Not a directory");
    assert_int_equal(chdir(*state), 0);
    assert_int_equal(directory_create("relative/x"), OK);
    assert_true(exists(state, "relative/x"));
    assert_int_equal(chdir("/"), 0);
    mem_free(file);
    mem_free(inside_file);
}

static void lists_are_sorted_bytewise(void **state)
{
    static const char *const expected[] = { ".hidden", "10", "9", "B", "a", "b", "\xc3\xa9" };
    char **names;
    size_t count = 0;
    for (int i = 6; i >= 0; i--)
        put(state, expected[i]);
    assert_int_equal(directory_list(*state, &names, &count), OK);
    assert_int_equal(count, 7);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(names[i], expected[i]);
    names_free(names, count);
    char *file = scratch_path(state, "a");
    assert_failed(directory_list(file, &names, &count), ERR_OPEN, "/a: cannot list: Not a directory");
    mem_free(file);
    make(state, "empty");
    char *empty = scratch_path(state, "empty");
    assert_int_equal(directory_list(empty, &names, &count), OK);
    assert_int_equal(count, 0);
    names_free(names, count);
    mem_free(empty);
}

static void removal_takes_all_inside_and_nothing_else(void **state)
{
    char *outside = scratch_path(state, "outside"), *link = scratch_path(state, "tree/a/link");
    char *file_link = scratch_path(state, "tree/file_link"), *dangling = scratch_path(state, "tree/dangling");
    make(state, "outside");
    put(state, "outside/precious");
    make(state, "tree/a/b");
    make(state, "tree/.hidden");
    put(state, "tree/a/b/f");
    put(state, "tree/.hidden/.f");
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(symlink("../outside/precious", file_link), 0);
    assert_int_equal(symlink("nowhere", dangling), 0);
    assert_int_equal(remove_directory(state, "tree/"), OK);
    assert_false(exists(state, "tree"));
    assert_true(exists(state, "outside/precious"));
    assert_int_equal(remove_directory(state, "tree"), OK); /* is gone already */
    mem_free(dangling);
    mem_free(file_link);
    mem_free(link);
    mem_free(outside);
}

static void removal_refuses_links_and_odd_names(void **state)
{
    char *target = scratch_path(state, "target"), *link = scratch_path(state, "link");
    make(state, "target");
    put(state, "target/precious");
    put(state, "file");
    assert_int_equal(symlink(target, link), 0);
    assert_failed(remove_directory(state, "link"), ERR_IO, "/link: cannot remove");
    assert_failed(remove_directory(state, "link/"), ERR_IO, "/link: cannot remove");
    assert_failed(remove_directory(state, "file"), ERR_IO, "/file: cannot remove: Not a directory");
    assert_failed(remove_directory(state, "target/."), ERR_IO, "will not remove");
    assert_failed(remove_directory(state, "target/.."), ERR_IO, "will not remove");
    assert_failed(directory_remove(""), ERR_IO, "will not remove");
    assert_failed(directory_remove("."), ERR_IO, "will not remove");
    assert_int_equal(chdir(target), 0);
    assert_failed(directory_remove(".."), ERR_IO, "will not remove");
    assert_failed(directory_remove("./"), ERR_IO, "will not remove");
    assert_int_equal(chdir("/"), 0);
    assert_true(exists(state, "target/precious") && exists(state, "link") && exists(state, "file"));
    mem_free(link);
    mem_free(target);
}

static void removal_of_endless_depth_gives_up(void **state)
{
    enum { DEPTH = 130 };
    char name[2 * DEPTH + 2] = "d";
    for (int i = 1; i < DEPTH; i++)
        memcpy(name + 2 * i - 1, "/d", 3);
    make(state, name);
    assert_failed(remove_directory(state, "d"), ERR_IO, "nested more than");
    name[2 * 60 - 1] = '\0';
    assert_int_equal(remove_directory(state, name), OK);
    assert_int_equal(remove_directory(state, "d"), OK);
    assert_false(exists(state, "d"));
}

static void assert_matches(const char *pattern, size_t expected, const char *const *names)
{
    char **paths;
    size_t count;
    assert_int_equal(file_glob(pattern, &paths, &count), OK);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(paths[i], names[i]);
    names_free(paths, count);
}

static void patterns_match(void **state)
{
    static const char *const files[] = { "B.txt", "a.txt", "a10.txt", "a9.txt", "b.json", "sub", "x[1].txt" };
    for (int i = 6; i >= 0; i--)
        put(state, files[i]);
    assert_int_equal(chdir(*state), 0);
    assert_matches("*.txt", 5, (const char *const[]){ "B.txt", "a.txt", "a10.txt", "a9.txt", "x[1].txt" });
    assert_matches("a?.txt", 1, (const char *const[]){ "a9.txt" });
    assert_matches("[ab].*", 2, (const char *const[]){ "a.txt", "b.json" });
    assert_matches("*.csv", 0, NULL);
    assert_matches("absent.txt", 1, (const char *const[]){ "absent.txt" });
    assert_matches("a\\b", 1, (const char *const[]){ "a\\b" });
    assert_matches("x[1].txt", 1, (const char *const[]){ "x[1].txt" });
    assert_matches("no/such/*", 0, NULL);
    assert_int_equal(chdir("/"), 0);
}

static void paths_are_taken_apart(void **state)
{
    static const struct {
        const char *path, *directory, *base;
    } parts[] = { { "a/b", "a", "b" },  { "a", ".", "a" },     { "/a", "/", "a" },  { "/", "/", "" },
                  { "a//b", "a", "b" }, { "a/b/", "a/b", "" }, { "//a", "/", "a" }, { "", ".", "" } };
    static const struct {
        const char *directory, *name, *path;
    } joins[] = { { "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "", "b", "b" },
                  { "/", "b", "/b" },  { "a", "/b", "/b" },  { "a", "", "a/" } };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char *directory = path_directory(parts[i].path);
        assert_string_equal(directory, parts[i].directory);
        assert_string_equal(path_base(parts[i].path), parts[i].base);
        mem_free(directory);
    }
    for (size_t i = 0; i < sizeof(joins) / sizeof(joins[0]); i++) {
        char *path = path_join(joins[i].directory, joins[i].name);
        assert_string_equal(path, joins[i].path);
        mem_free(path);
    }
    char *resolved = path_resolve("/usr/../usr/./bin/..");
    assert_non_null(resolved);
    assert_string_equal(resolved, "/usr");
    mem_free(resolved);
    assert_null(path_resolve("/no/such/place"));
}

static void plain_names_stay_where_they_are(void **state)
{
    assert_true(path_is_plain_name("model.safetensors", 17));
    assert_true(path_is_plain_name("...", 3));
    assert_true(path_is_plain_name(".a", 2));
    assert_false(path_is_plain_name("", 0));
    assert_false(path_is_plain_name(".", 1));
    assert_false(path_is_plain_name("..", 2));
    assert_false(path_is_plain_name("../a", 4));
    assert_false(path_is_plain_name("/a", 2));
    assert_false(path_is_plain_name("a\\b", 3));
    assert_false(path_is_plain_name("a\0b", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(directories_are_made_with_parents, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(lists_are_sorted_bytewise, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(removal_takes_all_inside_and_nothing_else, scratch_create,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(removal_refuses_links_and_odd_names, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(removal_of_endless_depth_gives_up, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(patterns_match, scratch_create, scratch_remove),
        cmocka_unit_test(paths_are_taken_apart),
        cmocka_unit_test(plain_names_stay_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
