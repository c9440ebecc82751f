/* Any bytes as what torch.save writes: an archive, or (what does not begin like one) the state dict's pickle
 * and all behind it in the form without archive. Refused with a message, or every tensor of numbers can be
 * read. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/weights.h"

static const char head[] = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}.";

/* A stride of 0 makes any number of elements from one: then a part will do. */
static void read_tensor(const struct weights_tensor *t)
{
    float values[1000];
    int64_t count = t->info->count < 1000 ? t->info->count : 1000;
    if (t->info->element->kind != ELEMENT_FLOAT)
        return;
    if (weights_read_range(t, t->info->count - count, count, values) != OK)
        BUG("a tensor cannot be read: %s", error_message());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weights_file f;
    struct str bytes;
    bool archive = size >= 16 && memcmp(data, "PK\003\004", 4) == 0;
    error_clear();
    str_init(&bytes);
    if (!archive)
        str_append_bytes(&bytes, head, sizeof(head) - 1);
    str_append_bytes(&bytes, data, size);
    int status = weights_file_open_memory(&f, "f", bytes.data, bytes.length);
    str_release(&bytes);
    if (status != OK) {
        if (status != ERR_DATA || strncmp(error_message(), "f", 1) != 0)
            BUG("status %d, message %s", status, error_message());
        return 0;
    }
    for (size_t i = 0; i < f.count; i++)
        read_tensor(&f.tensors[i]);
    weights_file_close(&f);
    return 0;
}
