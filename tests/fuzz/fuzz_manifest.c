/* Any bytes as a manifest, as they are and with the checksum at their end made right, so that the rest is
 * reached; and as a trainer_state.json. What is accepted is read back from what is written of it. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "ckpt/checksum.h"
#include "ckpt/manifest.h"
#include "ckpt/trainer_state.h"

static void parse_manifest(const char *bytes, size_t length)
{
    struct manifest m, again;
    struct str s;
    error_clear();
    if (manifest_parse(&m, "m", bytes, length) != OK)
        return;
    str_init(&s);
    manifest_write(&m, &s);
    if (manifest_parse(&again, "m", s.data, s.length) != OK || again.count != m.count || again.step != m.step)
        BUG("what was written is not read: %s", error_message());
    for (size_t i = 0; i < m.count; i++) {
        size_t chunks = checksum_chunks(m.files[i].bytes);
        if (strcmp(m.files[i].name, again.files[i].name) != 0 ||
            (chunks > 0 && memcmp(m.files[i].chunks, again.files[i].chunks, chunks * sizeof(uint64_t)) != 0))
            BUG("file %zu has changed", i);
    }
    manifest_release(&again);
    manifest_release(&m);
    str_release(&s);
}

static void parse_state(const char *bytes, size_t length)
{
    struct trainer_state t, again;
    struct str s;
    error_clear();
    if (trainer_state_parse(&t, "t", bytes, length) != OK)
        return;
    str_init(&s);
    trainer_state_write(&t, &s);
    if (trainer_state_parse(&again, "t", s.data, s.length) != OK || again.global_step != t.global_step)
        BUG("what was written is not read: %s", error_message());
    trainer_state_release(&again);
    trainer_state_release(&t);
    str_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s;
    parse_manifest((const char *)data, size);
    parse_state((const char *)data, size);
    str_init(&s);
    str_append_bytes(&s, data, size);
    str_appendf(&s, "\"checksum\": \"%016" PRIx64 "\"\n}\n", hash_bytes(data, size, 0));
    parse_manifest(s.data, s.length);
    str_release(&s);
    return 0;
}
