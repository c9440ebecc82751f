/* Options that every command takes. */
#include "base/err.h"
#include "base/log.h"
#include "base/parallel.h"
#include "cli/cli.h"

static const char *const log_levels[] = { "error", "warning", "info", "debug", "passive", "critical", NULL };

const struct option global_options[] = {
    { "log_level", OPTION_CHOICE, offsetof(struct global_options, log_level), "info",
      "how much is said on stderr; passive is info, critical is error", .choices = log_levels },
    { "threads", OPTION_INT, offsetof(struct global_options, threads), NULL,
      "threads of each rank; without it all processors this process may use", .min = 1, .max = 4096 },
    { 0 },
};

const struct command_part global_parts[] = { { "Every command", global_options, 0 }, { 0 } };

int global_apply(const struct global_options *g)
{
    static const enum log_level levels[] = {
        LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_INFO, LOG_ERROR
    };

    log_set_level(levels[g->log_level]);
    if (g->threads > 0)
        parallel_set_threads((int)g->threads);
    return OK;
}
