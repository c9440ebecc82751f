/* Checkpoints of a run: damage is found and named, the newest good one is chosen, pruning and cleaning lose
 * nothing, one run at a time. */
#include "ckpt/checkpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/rng.h"
#include "ckpt/lock.h"
#include "ckpt/optimizer_state.h"
#include "ckpt/save.h"
#include "ckpt/trainer_state.h"
#include "lib/child.h"
#include "lib/scratch.h"

static void expect_text(const char *text)
{
    if (strstr(error_message(), text) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", error_message(), text);
}

/* A checkpoint with two parameters' worth of state, a few kilobytes. */
static void make(void **state, int64_t step)
{
    static const int64_t shape[] = { 25, 20 };
    float values[500];
    struct str name;
    struct save *s;
    struct trainer_state t;
    for (int i = 0; i < 500; i++)
        values[i] = (float)(step * i);
    struct weights_param p[] = { { .name = "h.0.w", .ndim = 2, .shape = shape, .data = values },
                                 { .name = "h.1.w", .ndim = 2, .shape = shape, .data = values } };
    str_init(&name);
    str_appendf(&name, "checkpoint-%lld", (long long)step);
    error_clear();
    struct save_options o = { .directory = *state, .name = name.data, .run = "r1", .step = step };
    assert_int_equal(save_begin(&s, &o), OK);
    assert_int_equal(save_file(s, "config.json", MANIFEST_MODEL, "{}\n", 3), OK);
    assert_int_equal(weights_save(s, p, 2, &(struct weights_save_options){ 0 }), OK);
    struct weights_param moments[] = { p[0], p[1], p[0], p[1] };
    moments[0].name = "exp_avg.h.0.w";
    moments[1].name = "exp_avg.h.1.w";
    moments[2].name = "exp_avg_sq.h.0.w";
    moments[3].name = "exp_avg_sq.h.1.w";
    assert_int_equal(optimizer_state_save(s, moments, 4), OK);
    trainer_state_init(&t);
    t.global_step = step;
    assert_int_equal(trainer_state_save(s, &t), OK);
    assert_int_equal(save_commit(s, NULL), OK);
    str_release(&name);
}

static void refuse(void **state, const char *name, const char *text)
{
    char *path = scratch_path(state, name);
    error_clear();
    int status = checkpoint_verify(path, CHECKPOINT_CHECKSUMS, NULL);
    assert_true(status == ERR_DATA || status == ERR_OPEN);
    expect_text(text);
    error_clear();
    mem_free(path);
}

static void flip(void **state, const char *name, uint64_t bit)
{
    char *path = scratch_path(state, name), byte;
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)(bit / 8), SEEK_SET), 0);
    assert_int_equal(fread(&byte, 1, 1, f), 1);
    byte ^= (char)(1 << bit % 8);
    assert_int_equal(fseek(f, (long)(bit / 8), SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, f), 1);
    assert_int_equal(fclose(f), 0);
    mem_free(path);
}

static void cut(void **state, const char *name, off_t length)
{
    char *path = scratch_path(state, name);
    assert_int_equal(truncate(path, length), 0);
    mem_free(path);
}

static off_t size_of(void **state, const char *name)
{
    struct stat info;
    char *path = scratch_path(state, name);
    assert_int_equal(stat(path, &info), 0);
    mem_free(path);
    return info.st_size;
}

static void verifies(void **state)
{
    char *path = scratch_path(state, "checkpoint-5");
    make(state, 5);
    assert_int_equal(checkpoint_verify(path, CHECKPOINT_CHECKSUMS, NULL), OK);
    mem_free(path);
    refuse(state, "checkpoint-6", "checkpoint-6: no such checkpoint");
}

static void names_what_is_missing(void **state)
{
    make(state, 5);
    char *file = scratch_path(state, "checkpoint-5/optimizer.safetensors");
    char *manifest = scratch_path(state, "checkpoint-5/manifest.json"),
         *plain = scratch_path(state, "checkpoint-6");
    assert_int_equal(unlink(file), 0);
    refuse(state, "checkpoint-5", "checkpoint-5/optimizer.safetensors: missing");
    assert_int_equal(unlink(manifest), 0);
    refuse(state, "checkpoint-5", "checkpoint-5: incomplete (no manifest.json)");
    scratch_put(plain, "x", 1);
    refuse(state, "checkpoint-6", "checkpoint-6: not a directory");
    mem_free(file), mem_free(manifest), mem_free(plain);
}

static void finds_every_cut(void **state)
{
    static const char *const files[] = { "config.json", "model.safetensors", "optimizer.safetensors",
                                         "trainer_state.json", "manifest.json" };
    for (size_t i = 0; i < 5; i++) {
        struct str name;
        str_init(&name);
        str_appendf(&name, "checkpoint-5/%s", files[i]);
        make(state, 5);
        off_t size = size_of(state, name.data);
        for (off_t at = size - 1; at >= 0; at -= at > 64 ? at / 3 : 1) {
            cut(state, name.data, at);
            refuse(state, "checkpoint-5", files[i]);
        }
        str_release(&name);
    }
    make(state, 5);
    off_t size = size_of(state, "checkpoint-5/model.safetensors");
    struct str text;
    str_init(&text);
    str_appendf(&text, "wrong size (found %lld bytes, expected %lld)", (long long)size - 1, (long long)size);
    cut(state, "checkpoint-5/model.safetensors", size - 1);
    refuse(state, "checkpoint-5", text.data);
    str_release(&text);
}

static void finds_every_flipped_bit(void **state)
{
    static const char *const files[] = { "config.json", "model.safetensors", "optimizer.safetensors",
                                         "trainer_state.json", "manifest.json" };
    make(state, 5);
    for (uint64_t i = 0; i < 2000; i++) {
        struct str name;
        const char *file = files[i % 5];
        str_init(&name);
        str_appendf(&name, "checkpoint-5/%s", file);
        uint64_t bits = (uint64_t)size_of(state, name.data) * 8;
        uint64_t bit = rng_below((struct rng_key){ .seed = 3 }, i, 0, bits);
        flip(state, name.data, bit);
        refuse(state, "checkpoint-5", file);
        flip(state, name.data, bit);
        str_release(&name);
    }
    char *path = scratch_path(state, "checkpoint-5");
    assert_int_equal(checkpoint_verify(path, CHECKPOINT_CHECKSUMS, NULL), OK);
    mem_free(path);
}

static void names_the_damaged_tensor(void **state)
{
    make(state, 5);
    off_t size = size_of(state, "checkpoint-5/model.safetensors");
    flip(state, "checkpoint-5/model.safetensors", (uint64_t)(size - 1) * 8);
    refuse(state, "checkpoint-5", "model.safetensors: checksum of bytes 0 to ");
    refuse(state, "checkpoint-5", "differs: tensor \"h.0.w\" or one of 1 more");
}

/* Each byte is in the part of one rank. */
static void verifies_in_parts(void **state)
{
    static const char *const files[] = { "config.json", "model.safetensors", "optimizer.safetensors",
                                         "trainer_state.json" };
    char *path = scratch_path(state, "checkpoint-5");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct str name;
        make(state, 5);
        str_init(&name);
        str_appendf(&name, "checkpoint-5/%s", files[i]);
        for (int ranks = 1; ranks < 7; ranks++) {
            int found = 0;
            for (int r = 0; r < ranks; r++)
                assert_int_equal(checkpoint_verify_part(path, r, ranks), OK);
            flip(state, name.data, 9);
            for (int r = 0; r < ranks; r++)
                found += checkpoint_verify_part(path, r, ranks) == ERR_DATA;
            assert_int_equal(found, 1);
            error_clear();
            flip(state, name.data, 9);
        }
        str_release(&name);
    }
    mem_free(path);
}

/* ---- choosing ---- */

static void **shared_state; /* for the child */

static int print_newest(void)
{
    char *path;
    int status = checkpoint_newest(*shared_state, CHECKPOINT_CHECKSUMS, &path);
    if (status == OK)
        printf("newest %s\n", path != NULL ? path_base(path) : "none");
    else
        printf("failed %s\n", error_message());
    if (status == OK)
        mem_free(path);
    return -status;
}

static void expect_newest(void **state, int exit_code, const char *text)
{
    struct child c;
    shared_state = state;
    child_run(&c, print_newest);
    assert_int_equal(c.exit_code, exit_code);
    if (strstr(c.text, text) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", c.text, text);
}

static void chooses_by_number(void **state)
{
    struct checkpoint_list l;
    expect_newest(state, 0, "newest none");
    make(state, 9);
    make(state, 100);
    make(state, 10);
    char *old = scratch_path(state, "checkpoint-007"), *word = scratch_path(state, "checkpoint-new");
    assert_int_equal(mkdir(old, 0700), 0);
    assert_int_equal(mkdir(word, 0700), 0);
    expect_newest(state, 0, "newest checkpoint-100");
    assert_int_equal(checkpoint_list_load(&l, *state), OK);
    assert_int_equal(l.count, 3);
    assert_true(l.items[0].step == 9 && l.items[1].step == 10 && l.items[2].step == 100);
    checkpoint_list_release(&l);
    assert_int_equal(checkpoint_list_load(&l, old), OK);
    assert_int_equal(l.count, 0);
    assert_int_equal(checkpoint_step("checkpoint-9223372036854775808"), -1);
    assert_int_equal(checkpoint_step("checkpoint-"), -1);
    assert_int_equal(checkpoint_step("checkpoint-0"), 0);
    mem_free(old), mem_free(word);
}

static void falls_back_and_says_why(void **state)
{
    make(state, 800);
    make(state, 900);
    make(state, 1000);
    char *manifest = scratch_path(state, "checkpoint-1000/manifest.json");
    assert_int_equal(unlink(manifest), 0);
    flip(state, "checkpoint-900/optimizer.safetensors", 40000);
    expect_newest(state, 0, "checkpoint-1000: incomplete (no manifest.json); ");
    expect_newest(state, 0, "optimizer.safetensors: checksum of bytes 0 to ");
    expect_newest(state, 0, "; using checkpoint-800\n");
    expect_newest(state, 0, "newest checkpoint-800");
    cut(state, "checkpoint-800/config.json", 1);
    expect_newest(state, 65, "none of 3 checkpoints is whole: ");
    expect_newest(state, 65, "checkpoint-800/config.json: wrong size (found 1 bytes, expected 3)");
    mem_free(manifest);
}

/* ---- pruning and cleaning ---- */

static void expect_there(void **state, const char *name, bool expected)
{
    char *path = scratch_path(state, name);
    if (file_exists(path) != expected)
        fail_msg("%s is %sthere", name, expected ? "not " : "");
    mem_free(path);
}

static void prunes_the_oldest(void **state)
{
    size_t removed;
    for (int64_t step = 1; step <= 5; step++)
        make(state, step);
    char *foreign = scratch_path(state, "checkpoint-0"), *best = scratch_path(state, "checkpoint-1");
    assert_int_equal(mkdir(foreign, 0700), 0); /* no manifest: not ours */
    cut(state, "checkpoint-4/model.safetensors", 10);
    assert_int_equal(checkpoint_prune(*state, 2, best, &removed), OK);
    assert_int_equal(removed, 1);
    expect_there(state, "checkpoint-5", true);
    expect_there(state, "checkpoint-4", true); /* damaged, but newer than a kept one */
    expect_there(state, "checkpoint-3", true);
    expect_there(state, "checkpoint-2", false);
    expect_there(state, "checkpoint-1", true);
    expect_there(state, "checkpoint-0", true);
    assert_int_equal(checkpoint_prune(*state, 1, NULL, &removed), OK);
    assert_int_equal(removed, 3);
    expect_there(state, "checkpoint-5", true);
    expect_there(state, "checkpoint-4", false);
    expect_there(state, "checkpoint-0", true);
    /* nothing verifies: nothing is removed */
    cut(state, "checkpoint-5/model.safetensors", 10);
    make(state, 3);
    cut(state, "checkpoint-3/model.safetensors", 10);
    assert_int_equal(checkpoint_prune(*state, 1, NULL, NULL), OK);
    expect_there(state, "checkpoint-5", true);
    expect_there(state, "checkpoint-3", true);
    mem_free(foreign), mem_free(best);
}

static void cleans_leftovers(void **state)
{
    static const char *const names[] = { ".plait-tmp.checkpoint-7.12",
                                         ".plait-tmp.checkpoint-7.12/model.safetensors",
                                         ".plait-old.checkpoint-5.12", ".plait-tmp.model.safetensors.12",
                                         ".other" };
    size_t count;
    make(state, 5);
    make(state, 6);
    for (size_t i = 0; i < 5; i++) {
        char *path = scratch_path(state, names[i]);
        if (i == 0 || i == 2)
            assert_int_equal(mkdir(path, 0700), 0);
        else
            scratch_put(path, "x", 1);
        mem_free(path);
    }
    char *six = scratch_path(state, "checkpoint-6"), *old = scratch_path(state, ".plait-old.checkpoint-6.99");
    assert_int_equal(rename(six, old), 0);
    assert_int_equal(checkpoint_clean(*state, &count), OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 4; i++)
        expect_there(state, names[i], false);
    expect_there(state, ".other", true);
    expect_there(state, "checkpoint-5", true);
    assert_int_equal(checkpoint_verify(six, CHECKPOINT_CHECKSUMS, NULL), OK); /* it came back */
    mem_free(six), mem_free(old);
}

/* ---- state ---- */

static void state_comes_back_to_the_bit(void **state)
{
    struct trainer_state t, u;
    struct str s;
    str_init(&s);
    trainer_state_init(&t);
    t.global_step = 900;
    t.epoch = 1.0 / 3;
    t.seed = UINT64_MAX;
    t.loss_sum = 1e-310;
    t.best_model_checkpoint = mem_strdup("checkpoint-800");
    t.samples_seen = INT64_MAX;
    trainer_state_write(&t, &s);
    error_clear();
    assert_int_equal(trainer_state_parse(&u, "trainer_state.json", s.data, s.length), OK);
    assert_true(u.best_metric != u.best_metric);
    assert_string_equal(u.best_model_checkpoint, "checkpoint-800");
    assert_true(u.epoch == t.epoch && u.seed == UINT64_MAX && u.loss_sum == t.loss_sum &&
                u.global_step == 900);
    assert_true(u.samples_seen == INT64_MAX);
    trainer_state_release(&u);
    for (size_t n = 0; n + 1 < s.length; n++) {
        error_clear();
        assert_int_equal(trainer_state_parse(&u, "t", s.data, n), ERR_DATA);
    }
    s.length =
        (size_t)(strstr(s.data, ",\n    \"lr_factor\"") - s.data); /* as it was before there were these */
    str_append(&s, "}}");
    error_clear();
    assert_int_equal(trainer_state_parse(&u, "t", s.data, s.length), OK);
    assert_true(u.lr_factor == 1 && u.lr_best != u.lr_best && u.lr_bad == 0 && u.global_step == 900);
    trainer_state_release(&u);
    error_clear();
    assert_int_equal(trainer_state_parse(&u, "t", "{\"global_step\":1}", 17), ERR_DATA);
    expect_text("\"plait\" missing: not written by plait");
    error_clear();
    assert_int_equal(trainer_state_parse(&u, "t", "{\"plait\":{\"seed\":1}}", 20), ERR_DATA);
    expect_text("\"samples_seen\" missing");
    error_clear();
    trainer_state_release(&t);
    str_release(&s);
}

static void state_belongs_to_its_checkpoint(void **state)
{
    struct trainer_state t;
    struct weights w;
    struct weights_tensor *tensor;
    float values[500];
    make(state, 5);
    make(state, 6);
    char *five = scratch_path(state, "checkpoint-5"),
         *from = scratch_path(state, "checkpoint-6/trainer_state.json");
    char *to = scratch_path(state, "checkpoint-5/trainer_state.json");
    assert_int_equal(trainer_state_load(&t, five), OK);
    assert_int_equal(t.global_step, 5);
    trainer_state_release(&t);
    assert_int_equal(optimizer_state_open(&w, five), OK);
    assert_int_equal(w.count, 4);
    assert_int_equal(weights_get(&w, "exp_avg_sq.h.1.w", NULL, &tensor), OK);
    assert_int_equal(weights_read(tensor, NULL, values, NULL), OK);
    assert_true(values[499] == 5 * 499);
    error_clear();
    assert_int_equal(weights_get(&w, "exp_avg.h.2.w", NULL, &tensor), ERR_DATA);
    expect_text("tensor \"exp_avg.h.2.w\" missing");
    error_clear();
    weights_close(&w);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(trainer_state_load(&t, five), ERR_DATA);
    expect_text("belongs to step 6, the manifest to step 5");
    error_clear();
    mem_free(five), mem_free(from), mem_free(to);
}

/* ---- lock ---- */

static int lock_in_child(void)
{
    struct lock l;
    int status = lock_take(&l, *shared_state);
    if (status == OK)
        lock_release(&l);
    else
        printf("%s\n", error_message());
    return -status;
}

static void one_run_at_a_time(void **state)
{
    struct lock l, second;
    struct child c;
    struct str owner;
    char *path = scratch_path(state, ".plait-lock");
    shared_state = state;
    error_clear();
    assert_int_equal(lock_take(&l, *state), OK);
    child_run(&c, lock_in_child);
    assert_int_equal(c.exit_code, 75);
    str_init(&owner);
    str_appendf(&owner, "in use by another run (process %ld on host ", (long)getpid());
    assert_non_null(strstr(c.text, owner.data));
    str_release(&owner);
    assert_int_equal(lock_take(&second, *state), ERR_STOPPED); /* also within one process */
    error_clear();
    lock_release(&l);
    assert_false(file_exists(path));
    child_run(&c, lock_in_child);
    assert_int_equal(c.exit_code, 0);
    scratch_put(path, "process 1 on host gone", 22); /* of a killed run: nobody holds it */
    assert_int_equal(lock_take(&l, *state), OK);
    lock_release(&l);
    lock_release(&l);
    mem_free(path);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_create, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(verifies),
        IN_SCRATCH(names_what_is_missing),
        IN_SCRATCH(finds_every_cut),
        IN_SCRATCH(finds_every_flipped_bit),
        IN_SCRATCH(names_the_damaged_tensor),
        IN_SCRATCH(verifies_in_parts),
        IN_SCRATCH(chooses_by_number),
        IN_SCRATCH(falls_back_and_says_why),
        IN_SCRATCH(prunes_the_oldest),
        IN_SCRATCH(cleans_leftovers),
        cmocka_unit_test(state_comes_back_to_the_bit),
        IN_SCRATCH(state_belongs_to_its_checkpoint),
        IN_SCRATCH(one_run_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
