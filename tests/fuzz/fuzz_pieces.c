/* Any text as what two files say of which tensors their own are pieces: refused with a message, or each
 * tensor is covered once and every element can be read. A line for each file. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/pieces.h"

struct memory_sink {
    struct sink sink;
    struct str bytes;
};

static int take(struct sink *s, const void *bytes, size_t length)
{
    str_append_bytes(&((struct memory_sink *)s)->bytes, bytes, length);
    return OK;
}

static int open_file(struct weights_file *f, const char *name, const char *metadata)
{
    static const int64_t shapes[][3] = { { 2, 3 }, { 4 }, { 2, 2, 2 } };
    static const float values[16];
    struct memory_sink m = { .sink.write = take };
    struct safetensors_writer w;

    str_init(&m.bytes);
    safetensors_writer_init(&w, &m.sink);
    safetensors_writer_metadata(&w, PIECES_KEY, metadata);
    safetensors_writer_declare(&w, "a", element_named("F32"), 2, shapes[0]);
    safetensors_writer_declare(&w, name, element_named("F32"), 1, shapes[1]);
    safetensors_writer_declare(&w, "c", element_named("F32"), 3, shapes[2]);
    safetensors_writer_declare(&w, "d", element_named("F32"), 0, NULL);
    safetensors_writer_header(&w);
    safetensors_writer_floats(&w, values, 6);
    safetensors_writer_floats(&w, values, 4);
    safetensors_writer_floats(&w, values, 8);
    safetensors_writer_floats(&w, values, 1);
    int status = safetensors_writer_end(&w);
    if (status == OK)
        status = weights_file_open_memory(f, name, m.bytes.data, m.bytes.length);
    str_release(&m.bytes);
    return status;
}

/* What covers it lies in the files, so it is not large. */
static void read_all(const struct weights_tensor *t)
{
    if (t->info->count > 2 * 19)
        BUG("%s: %lld elements of 38 in the files", t->name, (long long)t->info->count);
    float *values = mem_alloc_array((size_t)t->info->count, sizeof(*values));
    memset(values, 0xff, (size_t)t->info->count * sizeof(*values));
    if (weights_read(t, NULL, values, NULL) != OK)
        BUG("%s cannot be read", t->name);
    for (int64_t i = 0; i < t->info->count; i++)
        if (values[i] != 0)
            BUG("%s: element %lld has not been read", t->name, (long long)i);
    mem_free(values);
}

static void join(const char *first, const char *second)
{
    struct weights w = { .path = "dir" };
    arena_init(&w.memory);
    map_init(&w.names);
    map_init(&w.promised);
    w.files = mem_alloc_array(2, sizeof(*w.files));
    int status = open_file(&w.files[w.file_count], "b", first);
    w.file_count += status == OK;
    if (status == OK)
        status = open_file(&w.files[w.file_count], "e", second);
    w.file_count += w.file_count == 1 && status == OK;
    if (status == OK)
        status = pieces_join(&w);
    if (status != OK && error_message()[0] == '\0')
        BUG("refused without a message");
    for (size_t i = 0; i < w.count && status == OK; i++)
        read_all(&w.tensors[i]);
    weights_close(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup((const char *)data, size), *second = memchr(text, '\n', size);
    error_clear();
    if (second && memchr(text, 0, size) == NULL && utf8_valid_prefix(text, size) == size) {
        *second++ = '\0';
        join(text, second);
    }
    mem_free(text);
    return 0;
}
