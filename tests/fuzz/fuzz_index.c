/* Any bytes as an index of shards: what is accepted names plain files only. */
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/weights_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weights_index x;
    error_clear();
    if (weights_index_parse(&x, "i", (const char *)data, size) != OK) {
        if (error_message()[0] == '\0')
            BUG("refused without a message");
        return 0;
    }
    for (size_t i = 0; i < x.shards.count; i++) {
        if (!path_is_plain_name(x.shards.entries[i].key, x.shards.entries[i].length))
            BUG("shard %s", x.shards.entries[i].key);
    }
    for (size_t i = 0; i < x.tensors.count; i++) {
        if (x.tensors.entries[i].value < 0 || (size_t)x.tensors.entries[i].value >= x.shards.count)
            BUG("tensor %zu is in no shard", i);
    }
    weights_index_release(&x);
    return 0;
}
