/* Saving a directory: what is there after success, failure and interruption; the manifest against damage. */
#include "ckpt/save.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/checkpoint.h"
#include "ckpt/checksum.h"
#include "ckpt/install.h"
#include "lib/scratch.h"

static void expect_text(const char *text)
{
    if (strstr(error_message(), text) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", error_message(), text);
}

static struct save *begin(void **state, const char *name)
{
    struct save *s = NULL;
    struct save_options o = { .directory = *state, .name = name, .run = "r1", .step = 900 };
    error_clear();
    assert_int_equal(save_begin(&s, &o), OK);
    return s;
}

static void add(struct save *s, const char *name, enum manifest_kind kind, const char *text)
{
    assert_int_equal(save_file(s, name, kind, text, strlen(text)), OK);
}

static void expect_content(void **state, const char *name, const char *text)
{
    char *path = scratch_path(state, name);
    struct str s;
    str_init(&s);
    assert_int_equal(file_read(path, 0, &s), OK);
    assert_string_equal(s.data, text);
    str_release(&s);
    mem_free(path);
}

static size_t count_entries(const char *directory)
{
    char **names;
    size_t count;
    assert_int_equal(directory_list(directory, &names, &count), OK);
    names_free(names, count);
    return count;
}

static void commits(void **state)
{
    struct save *s = begin(state, "checkpoint-900");
    struct manifest m;
    char *path, *source = scratch_path(state, "source");
    add(s, "config.json", MANIFEST_MODEL, "{}");
    add(s, "empty", MANIFEST_STATE, "");
    scratch_put(source, "tokens", 6);
    assert_int_equal(save_file_copy(s, "tokenizer.json", MANIFEST_MODEL, source), OK);
    save_note(s, "data", "9c1d");
    assert_int_equal(save_commit(s, &path), OK);

    assert_string_equal(path_base(path), "checkpoint-900");
    assert_int_equal(checkpoint_verify(path, CHECKPOINT_CHECKSUMS, &m), OK);
    assert_int_equal(m.count, 3);
    assert_int_equal(m.step, 900);
    assert_string_equal(m.run, "r1");
    assert_string_equal(manifest_note(&m, "data"), "9c1d");
    assert_null(manifest_note(&m, "x"));
    assert_int_equal(manifest_find(&m, "tokenizer.json")->bytes, 6);
    assert_int_equal(manifest_find(&m, "empty")->kind, MANIFEST_STATE);
    assert_null(manifest_find(&m, "x"));
    manifest_release(&m);
    expect_content(state, "checkpoint-900/tokenizer.json", "tokens");
    assert_int_equal(count_entries(*state), 2); /* nothing left behind */
    mem_free(path);
    mem_free(source);
}

static void aborts(void **state)
{
    struct save *s = begin(state, "checkpoint-900");
    struct sink *sink;
    add(s, "config.json", MANIFEST_MODEL, "{}");
    assert_int_equal(save_file_begin(s, "half", MANIFEST_MODEL, &sink), OK);
    assert_int_equal(sink->write(sink, "x", 1), OK);
    save_abort(s);
    save_abort(NULL);
    assert_int_equal(count_entries(*state), 0);
}

static void replaces_a_checkpoint_of_the_same_name(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct save *s = begin(state, "checkpoint-900");
        add(s, i ? "new" : "old", MANIFEST_MODEL, "text");
        assert_int_equal(save_commit(s, NULL), OK);
    }
    expect_content(state, "checkpoint-900/new", "text");
    char *old = scratch_path(state, "checkpoint-900/old");
    assert_false(file_exists(old));
    assert_int_equal(count_entries(*state), 1);
    mem_free(old);
}

static void reports_where_it_cannot_write(void **state)
{
    struct save *s;
    char *file = scratch_path(state, "file"), *below = scratch_path(state, "file/below");
    scratch_put(file, "x", 1);
    struct save_options o = { .directory = file, .name = "checkpoint-1" };
    error_clear();
    assert_int_equal(save_begin(&s, &o), ERR_CREATE);
    expect_text("is a file, expected a directory");
    error_clear();
    o.directory = below;
    assert_int_equal(save_begin(&s, &o), ERR_CREATE);
    error_clear();
    o.directory = "/proc/1/plait";
    assert_int_equal(save_begin(&s, &o), ERR_CREATE);
    error_clear();
    mem_free(file), mem_free(below);
}

static void makes_the_directory(void **state)
{
    char *deep = scratch_path(state, "a/b/c/");
    struct save *s;
    struct save_options o = { .directory = deep, .name = "checkpoint-1" };
    assert_int_equal(save_begin(&s, &o), OK);
    assert_int_equal(save_commit(s, NULL), OK);
    char *path = scratch_path(state, "a/b/c/checkpoint-1");
    assert_int_equal(checkpoint_verify(path, CHECKPOINT_CHECKSUMS, NULL), OK);
    mem_free(deep), mem_free(path);
}

static void tells_the_room_on_the_disk(void **state)
{
    struct save *s;
    char *absent = scratch_path(state, "not/yet/there");
    struct save_options o = { .directory = *state, .name = "checkpoint-1", .bytes = (uint64_t)1 << 60 };
    error_clear();
    assert_int_equal(save_begin(&s, &o), ERR_CREATE);
    expect_text("no room on the disk for checkpoint-1 (found ");
    expect_text("B free, expected 1.15 EB)");
    error_clear();
    assert_int_equal(count_entries(*state), 0);
    assert_int_equal(save_check_space(absent, (uint64_t)1 << 60, "a checkpoint"), ERR_CREATE);
    error_clear();
    assert_int_equal(save_check_space(absent, 1, "a checkpoint"), OK);
    mem_free(absent);
}

/* A limit on the size of files stands for a full disk: at every size, a failure leaves the old checkpoint
 * alone. */
static void keeps_the_old_one_when_the_disk_is_full(void **state)
{
    struct save *s = begin(state, "checkpoint-800");
    struct rlimit before, limit;
    char *path;
    static char bytes[20000];
    add(s, "weights", MANIFEST_MODEL, "good");
    assert_int_equal(save_commit(s, &path), OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    int failures = 0, successes = 0;
    for (rlim_t size = 0; size <= 24000; size += 1000) {
        limit = before;
        limit.rlim_cur = size;
        s = begin(state, "checkpoint-900");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        int status = save_file(s, "weights", MANIFEST_MODEL, bytes, sizeof(bytes));
        if (status == OK)
            status = save_commit(s, NULL);
        else
            save_abort(s);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        if (status != OK) {
            assert_int_equal(status, ERR_IO);
            expect_text("cannot write: File too large");
            error_clear();
            assert_int_equal(count_entries(*state), 1);
            failures++;
        } else {
            successes++;
        }
        assert_int_equal(checkpoint_verify(path, CHECKPOINT_CHECKSUMS, NULL), OK);
    }
    assert_true(failures >= 20 && successes >= 1);
    mem_free(path);
}

/* ---- install ---- */

static void installs_file_by_file(void **state)
{
    char *old = scratch_path(state, "model-00001-of-00002.safetensors"), *index;
    struct save *s = begin(state, "init");
    index = scratch_path(state, "model.safetensors.index.json");
    scratch_put(old, "old", 3);
    scratch_put(index, "old", 3);
    char *config = scratch_path(state, "config.json"), *mine = scratch_path(state, "README.md");
    scratch_put(config, "old", 3);
    scratch_put(mine, "mine", 4);
    add(s, "config.json", MANIFEST_MODEL, "{}");
    add(s, "model.safetensors", MANIFEST_MODEL, "weights");
    assert_int_equal(save_install(s), OK);
    expect_content(state, "config.json", "{}");
    expect_content(state, "model.safetensors", "weights");
    expect_content(state, "README.md", "mine");
    assert_false(file_exists(old));
    assert_false(file_exists(index));
    assert_int_equal(count_entries(*state), 3);
    mem_free(old), mem_free(index), mem_free(config), mem_free(mine);
}

static void publishes_a_checkpoint(void **state)
{
    struct save *s = begin(state, "checkpoint-900");
    char *path, *state_file = scratch_path(state, "optimizer.safetensors");
    struct stat a, b;
    add(s, "config.json", MANIFEST_MODEL, "{}");
    add(s, "model.safetensors", MANIFEST_MODEL, "weights");
    add(s, "optimizer.safetensors", MANIFEST_STATE, "moments");
    assert_int_equal(save_commit(s, &path), OK);
    for (int i = 0; i < 2; i++) { /* again: the files are links to the same ones already */
        assert_int_equal(checkpoint_publish(path, *state), OK);
        expect_content(state, "config.json", "{}");
        expect_content(state, "model.safetensors", "weights");
        assert_false(file_exists(state_file));
        assert_int_equal(count_entries(*state), 3);
    }
    char *from = path_join(path, "model.safetensors"), *to = scratch_path(state, "model.safetensors");
    assert_int_equal(stat(from, &a), 0);
    assert_int_equal(stat(to, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    mem_free(path), mem_free(state_file), mem_free(from), mem_free(to);
}

static void copies_where_links_are_not_possible(void **state)
{
    char *from = scratch_path(state, "from"), *file = scratch_path(state, "from/config.json");
    char to[] = "/dev/shm/plait-test-XXXXXX"; /* another file system */
    const char *names[] = { "config.json" };
    struct stat a, b;
    if (mkdtemp(to) == NULL || stat(*state, &a) != 0 || stat(to, &b) != 0 || a.st_dev == b.st_dev) {
        mem_free(from), mem_free(file);
        skip();
    }
    assert_int_equal(mkdir(from, 0700), 0);
    scratch_put(file, "{}", 2);
    assert_int_equal(install_files(from, to, names, 1, false), OK);
    assert_int_equal(install_files(from, to, names, 1, true), OK);
    assert_int_equal(count_entries(to), 1);
    assert_int_equal(directory_remove(to), OK);
    mem_free(from), mem_free(file);
}

/* ---- checksums and the manifest ---- */

static void checksums_do_not_depend_on_the_pieces(void **state)
{
    size_t length = 2 * CHECKSUM_CHUNK + 12345;
    char *bytes = mem_alloc(length), *path = scratch_path(state, "file");
    struct checksum a, b;
    int64_t bad;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    checksum_init(&a);
    checksum_init(&b);
    checksum_add(&a, bytes, length);
    for (size_t at = 0, n = 1; at < length; at += n, n = n * 3 % 999983 + 1) {
        n = n < length - at ? n : length - at;
        checksum_add(&b, bytes + at, n);
    }
    checksum_end(&a);
    checksum_end(&b);
    assert_int_equal(a.count, 3);
    assert_int_equal(b.count, 3);
    assert_memory_equal(a.chunks, b.chunks, 3 * sizeof(*a.chunks));

    scratch_put(path, bytes, length);
    assert_int_equal(checksum_verify(path, length, a.chunks, &bad), OK);
    assert_int_equal(bad, -1);
    bytes[CHECKSUM_CHUNK] ^= 1;
    scratch_put(path, bytes, length);
    assert_int_equal(checksum_verify(path, length, a.chunks, &bad), OK);
    assert_int_equal(bad, 1);
    bytes[CHECKSUM_CHUNK] ^= 1;
    scratch_put(path, bytes, length);
    error_clear();
    assert_int_equal(checksum_verify(path, length + 1, a.chunks, &bad), ERR_IO);
    error_clear();
    checksum_release(&a);
    checksum_release(&b);
    mem_free(bytes);
    mem_free(path);
}

static void write_sample(struct str *s)
{
    struct manifest m;
    const uint64_t chunks[] = { 1, 0xfedcba9876543210u };
    manifest_init(&m);
    m.run = "r1";
    m.step = 900;
    manifest_add(&m, &(struct manifest_file){ .name = "a", .bytes = CHECKSUM_CHUNK + 1, .chunks = chunks });
    manifest_add(&m, &(struct manifest_file){ .name = "b", .kind = MANIFEST_STATE });
    manifest_add_note(&m, "k", "v\"\n");
    manifest_write(&m, s);
    manifest_release(&m);
}

static void manifests_are_read_as_written(void **state)
{
    struct str s;
    struct manifest m;
    str_init(&s);
    write_sample(&s);
    error_clear();
    assert_int_equal(manifest_parse(&m, "manifest.json", s.data, s.length), OK);
    assert_int_equal(m.count, 2);
    assert_int_equal(m.files[0].chunks[1], 0xfedcba9876543210u);
    assert_int_equal(m.files[1].kind, MANIFEST_STATE);
    assert_string_equal(manifest_note(&m, "k"), "v\"\n");
    manifest_release(&m);
    str_release(&s);
}

/* Any single bit flipped, any length cut: refused. */
static void damaged_manifests_are_refused(void **state)
{
    struct str s;
    struct manifest m;
    str_init(&s);
    write_sample(&s);
    for (size_t i = 0; i < s.length * 8; i++) {
        s.data[i / 8] ^= (char)(1 << i % 8);
        error_clear();
        assert_int_equal(manifest_parse(&m, "manifest.json", s.data, s.length), ERR_DATA);
        s.data[i / 8] ^= (char)(1 << i % 8);
    }
    for (size_t n = 0; n < s.length; n++) {
        error_clear();
        assert_int_equal(manifest_parse(&m, "manifest.json", s.data, n), ERR_DATA);
    }
    error_clear();
    str_release(&s);
}

static void refuse_manifest(const char *text, const char *message)
{
    struct manifest m;
    error_clear();
    assert_int_equal(manifest_parse(&m, "manifest.json", text, strlen(text)), ERR_DATA);
    expect_text(message);
    error_clear();
}

#define HEAD "{\"format\":\"plait checkpoint\",\"version\":1,"

static void refuses_bad_manifests(void **state)
{
    refuse_manifest("{}", "\"format\" missing");
    refuse_manifest("{\"format\":\"plait checkpoint\",\"files\":[]}", "\"version\" missing");
    refuse_manifest(HEAD "\"step\":1}", "\"files\" missing");
    refuse_manifest("{\"format\":\"web app\"}",
                    "not the manifest of a checkpoint (expected \"plait checkpoint\")");
    refuse_manifest("{\"format\":\"plait checkpoint\",\"version\":7}",
                    "written by version 7 of the format, this reads up to 1");
    refuse_manifest(HEAD "\"files\":[]}", "does not end in its own checksum");
    refuse_manifest(HEAD "\"files\":[{\"name\":\"../x\"}]}", "$.files[0].name: not a plain file name");
    refuse_manifest(HEAD "\"files\":[{\"name\":\"manifest.json\"}]}", "file listed twice");
    refuse_manifest(HEAD "\"files\":[{\"name\":\"a\",\"bytes\":0,\"xxh3\":[]},{\"name\":\"a\"}]}",
                    "file listed twice");
    refuse_manifest(HEAD "\"files\":[{\"name\":\"a\",\"bytes\":18446744073709551615,\"xxh3\":[]}]}",
                    "do not go together");
    refuse_manifest(HEAD "\"files\":[{\"name\":\"a\",\"bytes\":1,\"xxh3\":[\"12\"]}]}", "not a checksum");
    refuse_manifest(HEAD "\"files\":[{\"name\":\"a\",\"kind\":\"x\"}]}", "unknown kind of file");
    refuse_manifest(HEAD "\"step\":-1,\"files\":[]}", "$.step");
    refuse_manifest(HEAD "\"chunk_bytes\":1,\"files\":[]}", "$.chunk_bytes");
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_create, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(commits),
        IN_SCRATCH(aborts),
        IN_SCRATCH(replaces_a_checkpoint_of_the_same_name),
        IN_SCRATCH(reports_where_it_cannot_write),
        IN_SCRATCH(makes_the_directory),
        IN_SCRATCH(tells_the_room_on_the_disk),
        IN_SCRATCH(keeps_the_old_one_when_the_disk_is_full),
        IN_SCRATCH(installs_file_by_file),
        IN_SCRATCH(publishes_a_checkpoint),
        IN_SCRATCH(copies_where_links_are_not_possible),
        IN_SCRATCH(checksums_do_not_depend_on_the_pieces),
        cmocka_unit_test(manifests_are_read_as_written),
        cmocka_unit_test(damaged_manifests_are_refused),
        cmocka_unit_test(refuses_bad_manifests),
    };
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
