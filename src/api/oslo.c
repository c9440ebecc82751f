/* --parallel_config: the file that OSLO's oslo.initialize takes. Sizes and recomputation act; what says how
 * OSLO works inside changes nothing here. "//" comments are allowed, as its tutorial has one. */
#include "api/oslo.h"

#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

static void take_size(struct json_reader *r, const char *key, int64_t *size)
{
    int64_t v = json_int(r, 1, 1 << 20);

    if (*size != OPTION_WORD(0) && *size != v) /* word 0: auto */
        json_fail(r, "contradicts --%s (found %lld, expected %lld)", key, (long long)v, (long long)*size);
    *size = v;
}

static void read_sizes(struct json_reader *r, struct parallel_options *p)
{
    struct json_string key;
    bool enable = true;

    while (json_next_key(r, &key)) {
        if (json_key_is(r, "enable"))
            enable = json_bool(r);
        else if (json_key_is(r, "tensor_parallel_size"))
            take_size(r, "tensor_parallel_size", &p->tensor);
        else if (json_key_is(r, "pipeline_parallel_size"))
            take_size(r, "pipeline_parallel_size", &p->pipeline);
        else if (json_key_is(r, "data_parallel_size"))
            take_size(r, "data_parallel_size", &p->data);
        else
            json_fail(r, "unknown key (expected enable, tensor_parallel_size, pipeline_parallel_size or "
                         "data_parallel_size)");
    }
    if (!enable && (p->tensor > 1 || p->pipeline > 1))
        json_fail(r, "enable is false, but sizes are larger than 1");
}

static void read_recompute(struct json_reader *r, struct parallel_options *p)
{
    struct json_string key;
    bool enable = true, ways = false;

    while (json_next_key(r, &key)) {
        if (json_key_is(r, "enable"))
            enable = json_bool(r);
        else if (json_key_is(r, "partitioned_checkpointing") || json_key_is(r, "contiguous_checkpointing") ||
                 json_key_is(r, "cpu_checkpointing"))
            ways |= json_bool(r);
        else
            json_fail(r, "unknown key (expected enable, partitioned_checkpointing, "
                         "contiguous_checkpointing or cpu_checkpointing)");
    }
    if (enable && p->recompute != RECOMPUTE_WORD_AUTO && p->recompute != RECOMPUTE_WORD_FULL)
        json_fail(r, "contradicts --recompute");
    if (enable)
        p->recompute = RECOMPUTE_WORD_FULL;
    if (ways && json_status(r) == OK)
        note("%s: how activations are kept changes nothing, as every address is planned ahead", r->name);
}

static bool is(const struct json_string *s, const char *name)
{
    return s->length == strlen(name) && memcmp(s->data, name, s->length) == 0;
}

static void read_fusion(struct json_reader *r)
{
    static const char *const known[] = { "FusedRMSNorm", "FusedNoRepeatNGram" };
    struct json_string key, kernel;

    while (json_next_key(r, &key)) {
        if (json_key_is(r, "enable") || json_key_is(r, "memory_efficient_fusion")) {
            json_bool(r);
        } else if (!json_key_is(r, "custom_cuda_kernels")) {
            json_fail(r, "unknown key (expected enable, memory_efficient_fusion or custom_cuda_kernels)");
        } else if (json_array_begin(r)) {
            while (json_next_element(r) && json_string(r, &kernel))
                if (!is(&kernel, known[0]) && !is(&kernel, known[1]))
                    json_fail(r, "unknown kernel (expected %s or %s)", known[0], known[1]);
        }
    }
    if (json_status(r) == OK)
        note("%s: kernel_fusion changes nothing, as kernels are always fused where that is possible",
             r->name);
}

static void read_section(struct json_reader *r, struct parallel_options *p)
{
    if (json_key_is(r, "model_parallelism")) {
        if (json_object_begin(r))
            read_sizes(r, p);
    } else if (json_key_is(r, "activation_checkpointing")) {
        if (json_object_begin(r))
            read_recompute(r, p);
    } else if (json_key_is(r, "kernel_fusion")) {
        if (json_object_begin(r))
            read_fusion(r);
    } else {
        json_fail(r, "unknown key (expected model_parallelism, activation_checkpointing or kernel_fusion)");
    }
}

int oslo_read(const char *path, struct parallel_options *p)
{
    struct json_reader r;
    struct json_string key;
    struct str text;
    int status;

    str_init(&text);
    status = file_read(path, 1 << 20, &text);
    if (status == OK) {
        json_reader_init(&r, path, text.data, text.length);
        r.allow_comments = true;
        if (json_object_begin(&r))
            while (json_next_key(&r, &key))
                read_section(&r, p);
        status = json_end(&r);
        json_reader_release(&r);
    }
    str_release(&text);
    return status;
}
