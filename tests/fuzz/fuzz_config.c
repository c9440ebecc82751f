/* Any bytes as config.json: no crash; what is taken can be written, read again and changed. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "models/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c, again;
    struct str first, second;

    log_set_level(LOG_ERROR);
    error_clear();
    if (config_parse(&c, "fuzz", (const char *)data, size) != OK)
        return 0;
    str_init(&first);
    str_init(&second);
    config_write(&c, &first);
    if (config_parse(&again, "fuzz", first.data, first.length) != OK)
        BUG("what was written is not read: %s", error_message());
    config_write(&again, &second);
    if (strcmp(first.data, second.data) != 0)
        BUG("written twice, it differs");
    if (config_override(&c, "n_head=3,n_embd=6,attn_pdrop=0.5") == OK && c.sizes.heads != 3)
        BUG("an override without effect");
    str_release(&first);
    str_release(&second);
    config_release(&c);
    config_release(&again);
    return 0;
}
