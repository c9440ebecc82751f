/* Options that every command takes. */
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/parallel.h"
#include "cli/cli.h"
#include "comm/world.h"

static const char *const log_levels[] = { "error", "warning", "info", "debug", "passive", "critical", NULL };

const struct option global_options[] = {
    { "log_level", OPTION_CHOICE, offsetof(struct global_options, log_level), "info",
      "how much is said on stderr; passive is info, critical is error", .choices = log_levels },
    { "threads", OPTION_INT, offsetof(struct global_options, threads), NULL,
      "threads of each rank; without it all processors this process may use", .min = 1, .max = 4096 },
    { 0 },
};

const struct option_part global_parts[] = { { "Every command", global_options, 0 }, { 0 } };

static const enum log_level levels[] = { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_INFO, LOG_ERROR };

/* Of several ranks one speaks. */
static void set_level(enum log_level level)
{
    log_set_level(world_may_tell() ? level : LOG_ERROR);
}

/* Reading the other options may already say something. */
void global_look_ahead(int argc, char *const *argv)
{
    set_level(LOG_INFO);
    for (int i = 0; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--log_level") != 0 && strcmp(argv[i], "--log-level") != 0)
            continue;
        for (int k = 0; log_levels[k]; k++)
            if (strcmp(argv[i + 1], log_levels[k]) == 0)
                set_level(levels[k]);
    }
}

int global_apply(const struct global_options *g)
{
    set_level(levels[g->log_level]);
    if (g->threads > 0)
        parallel_set_threads((int)g->threads);
    return OK;
}
