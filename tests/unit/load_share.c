/* What a rank reads of a model directory, and what it takes in memory for that, is its share of the model:
 * measured at several layouts on files of some 400 MB (with holes where their zeros would be). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/hf.h"
#include "ckpt/pieces.h"
#include "cpu/machine.h"
#include "lib/scratch.h"

static void must(int status)
{
    if (status != OK)
        fail_msg("%s", error_message());
}

/* ---- a large model on disk ---- */

static const char overrides[] =
    "hidden_size=1024,intermediate_size=2816,num_hidden_layers=6,num_attention_heads=16,"
    "num_key_value_heads=16,vocab_size=8000,max_position_embeddings=256";

static void append_tensor(struct str *header, const char *name, const int64_t *shape, int ndim, int64_t *at)
{
    int64_t count = 1;

    str_appendf(header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", header->length > 1 ? "," : "", name);
    for (int d = 0; d < ndim; d++) {
        count *= shape[d];
        str_appendf(header, "%s%lld", d ? "," : "", (long long)shape[d]);
    }
    str_appendf(header, "],\"data_offsets\":[%lld,%lld]}", (long long)*at, (long long)(*at + 4 * count));
    *at += 4 * count;
}

static void put_file(void **state, const char *name, struct str *header, int64_t data)
{
    char *path = scratch_path(state, name);
    uint64_t length;
    FILE *f;

    str_append(header, "}");
    length = header->length;
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(&length, 8, 1, f), 1);
    assert_int_equal(fwrite(header->data, header->length, 1, f), 1);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(ftruncate(fileno(f), (off_t)(8 + length) + data), 0);
    fclose(f);
    mem_free(path);
    str_release(header);
}

static void put_config(void **state, struct config *c)
{
    char *path = scratch_path(state, "config.json");
    struct str text;

    must(config_preset(c, "huggyllama/llama-7b"));
    must(config_override(c, overrides));
    str_init(&text);
    config_write(c, &text);
    scratch_put(path, text.data, text.length);
    str_release(&text);
    mem_free(path);
}

/* In one file. */
static void put_whole(void **state)
{
    struct config c;
    struct params p;
    struct str header;
    int64_t at = 0;

    put_config(state, &c);
    must(params_init(&p, &c));
    str_init(&header);
    str_append(&header, "{");
    for (size_t i = 0; i < p.count; i++)
        append_tensor(&header, p.list[i].name, p.list[i].info->file_dims, p.list[i].info->file_ndim, &at);
    put_file(state, "model.safetensors", &header, at);
    params_release(&p);
    config_release(&c);
}

/* In three, cut along the first dim of each tensor. */
static void put_pieces(void **state)
{
    struct config c;
    struct params p;

    put_config(state, &c);
    must(params_init(&p, &c));
    for (int t = 0; t < 3; t++) {
        struct str header, metadata;
        char name[64];
        int64_t at = 0;
        str_init(&header);
        str_init(&metadata);
        for (size_t i = 0; i < p.count; i++) {
            const struct param_info *info = p.list[i].info;
            int64_t shape[2] = { 0, info->file_dims[1] }, first = info->file_dims[0] * t / 3;
            shape[0] = info->file_dims[0] * (t + 1) / 3 - first;
            str_appendf(&metadata, "%s\\\"%s\\\":{\\\"of\\\":\\\"%s\\\",\\\"shape\\\":[%lld", i ? "," : "",
                        p.list[i].name, p.list[i].name, (long long)info->file_dims[0]);
            str_appendf(&metadata, info->file_ndim > 1 ? ",%lld" : "", (long long)shape[1]);
            str_appendf(&metadata, "],\\\"start\\\":[%lld%s]}", (long long)first,
                        info->file_ndim > 1 ? ",0" : "");
        }
        str_appendf(&header, "{\"__metadata__\":{\"" PIECES_KEY "\":\"{%s}\"}", metadata.data);
        for (size_t i = 0; i < p.count; i++) {
            const struct param_info *info = p.list[i].info;
            int64_t first = info->file_dims[0] * t / 3;
            int64_t shape[2] = { info->file_dims[0] * (t + 1) / 3 - first, info->file_dims[1] };
            append_tensor(&header, p.list[i].name, shape, info->file_ndim, &at);
        }
        snprintf(name, sizeof(name), "model_tp_%d_pp_0.safetensors", t);
        put_file(state, name, &header, at);
        str_release(&metadata);
    }
    params_release(&p);
    config_release(&c);
}

/* ---- one rank ---- */

static int64_t bytes_read(void)
{
    struct str text;
    const char *at;
    int64_t bytes = -1;

    str_init(&text);
    if (file_read("/proc/self/io", 0, &text) == OK && (at = strstr(text.data, "rchar: ")))
        bytes = strtoll(at + 7, NULL, 10);
    str_release(&text);
    return bytes;
}

/* 0: fine. Ends the process that it has been forked for. */
static int load(const struct model *m, const struct plan *plan, int rank)
{
    enum { MORE_READ = 4 << 20, MORE_TAKEN = 32 << 20 };
    struct store *store = store_create();
    struct executor *e;
    int64_t before, read, share = 0, taken = (int64_t)mem_peak_resident();
    int status = executor_create(plan, store, NULL, rank, &e);

    for (size_t i = 0; i < store_count(store); i++)
        share += store_at(store, i)->kind == TENSOR_PARAM ? store_at(store, i)->bytes : 0;
    before = bytes_read();
    if (status == OK)
        status = model_fill_store(m, store);
    read = bytes_read() - before;
    taken = (int64_t)mem_peak_resident() - taken;
    if (status != OK || read < share * 9 / 10 || read > share + share / 20 + MORE_READ ||
        taken > share + MORE_TAKEN) {
        fprintf(stderr, "rank %d: status %d %s, share %lld bytes, read %lld, taken %lld\n", rank, status,
                error_message(), (long long)share, (long long)read, (long long)taken);
        return 1;
    }
    return 0;
}

static void check_layout(void **state, int tp, int pp)
{
    const struct mesh mesh = { { 1, tp, pp } };
    struct compile_options o = { .task = TASK_TRAIN,
                                 .rows = 512,
                                 .sequences = 2,
                                 .labels = 512,
                                 .mesh = mesh,
                                 .pipeline = { .microbatches = 4 } };
    struct machine machine;
    struct model m;

    must(model_open(&m, &(struct model_options){ .name = *state }));
    must(machine_detect(&machine));
    for (int rank = 0; rank < tp * pp; rank++) {
        struct plan *plan;
        int code;
        pid_t pid;
        o.stage_rank = mesh_coordinate(&mesh, rank, AXIS_PP);
        must(plan_compile(&m.config, &o, &machine, &plan));
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(load(&m, plan, rank));
        assert_int_equal(waitpid(pid, &code, 0), pid);
        assert_int_equal(code, 0);
        plan_free(plan);
    }
    model_close(&m);
}

static void reads_its_share(void **state)
{
    put_whole(state);
    check_layout(state, 4, 1);
    check_layout(state, 1, 4);
    check_layout(state, 2, 2);
}

static void reads_its_share_of_pieces(void **state)
{
    put_pieces(state);
    check_layout(state, 4, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_its_share, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(reads_its_share_of_pieces, scratch_create, scratch_remove),
    };

    if (bytes_read() < 0 || getenv("PLAIT_SANITIZE"))
        return 77; /* no such counters here, or a sanitizer's memory in them */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
