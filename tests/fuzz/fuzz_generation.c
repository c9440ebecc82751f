/* Any bytes as generation_config.json: no crash; options that pass the check have a length for a prompt. */
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "gen/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct generation_options o;
    int64_t limit;

    log_set_level(LOG_ERROR);
    error_clear();
    generation_options_init(&o);
    if (generation_options_parse(&o, "fuzz", (const char *)data, size) == OK &&
        generation_options_check(&o) == OK && generation_limit(&o, 7, 100, &limit) == OK &&
        (limit <= 7 || limit > 101 || generation_width(&o) < 1))
        BUG("a limit of %lld tokens", (long long)limit);
    generation_options_release(&o);
    return 0;
}
