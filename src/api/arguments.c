/* Errors, versions and arguments of the public functions. */
#include <string.h>

#include "api/api.h"
#include "base/log.h"
#include "base/parallel.h"

_Static_assert(PLAIT_ERROR_USAGE == (int)ERR_USAGE && PLAIT_ERROR_DATA == (int)ERR_DATA &&
                   PLAIT_ERROR_OPEN == (int)ERR_OPEN && PLAIT_ERROR_INTERNAL == (int)ERR_INTERNAL &&
                   PLAIT_ERROR_SYSTEM == (int)ERR_SYSTEM && PLAIT_ERROR_CREATE == (int)ERR_CREATE &&
                   PLAIT_ERROR_IO == (int)ERR_IO && PLAIT_ERROR_STOPPED == (int)ERR_STOPPED &&
                   PLAIT_ERROR_CONFIG == (int)ERR_CONFIG,
               "plait.h has the statuses of errors.def");
_Static_assert(PLAIT_LOG_ERROR == (int)LOG_ERROR && PLAIT_LOG_DEBUG == (int)LOG_DEBUG,
               "plait.h has the levels of base/log.h");

/* ---- arguments ---- */

int api_require(const char *function, const void *argument, const char *name)
{
    if (argument)
        return OK;
    return fail(ERR_USAGE, "%s: %s is NULL", function, name);
}

int api_begin(const char *function, const void *argument, const char *name)
{
    error_clear();
    return api_require(function, argument, name);
}

static int check_size(const char *name, size_t size, size_t own_size, size_t first)
{
    if (size >= first && size <= own_size)
        return OK;
    fail(ERR_USAGE, "struct %s: wrong size (found %zu, expected %zu)", name, size, own_size);
    error_hint(size > own_size ? "the program was compiled with a newer plait.h than this library"
                               : "struct %s x = { .size = sizeof(x) }",
               name);
    return ERR_USAGE;
}

int api_take(const char *name, const void *given, void *own, size_t own_size, size_t first)
{
    size_t size;

    memcpy(&size, given, sizeof(size));
    TRY(check_size(name, size, own_size, first));
    memcpy(own, given, size);
    return OK;
}

int api_give(const char *name, void *given, size_t size, const void *own, size_t own_size, size_t first)
{
    TRY(check_size(name, size, own_size, first));
    memcpy(given, own, size);
    memcpy(given, &size, sizeof(size));
    return OK;
}

/* ---- options ---- */

static int set_all(struct options *o, const char *const *given)
{
    for (; given && given[0]; given += 2) {
        if (!given[1])
            return fail(ERR_USAGE, "--%s: no value (expected names and values in turn)", given[0]);
        TRY(options_set(o, given[0], given[1]));
    }
    return OK;
}

int api_options_read(struct api_options *o, const char *command, const struct option_part *parts,
                     void *values, const char *const *given)
{
    int status;

    o->tables = mem_alloc_array(option_parts_bind(parts, values, NULL) + 1, sizeof(o->tables[0]));
    option_parts_bind(parts, values, o->tables);
    options_init(&o->options, command, o->tables);
    status = set_all(&o->options, given);
    if (status != OK)
        api_options_release(o);
    return status;
}

void api_options_release(struct api_options *o)
{
    options_release(&o->options);
    mem_free(o->tables);
}

/* ---- public ---- */

const char *plait_version(void)
{
    return PLAIT_BUILD_VERSION;
}

const char *plait_error(void)
{
    return error_message();
}

const char *plait_error_hint(void)
{
    return error_hint_text();
}

int plait_log_set(int level)
{
    error_clear();
    if (level < PLAIT_LOG_ERROR || level > PLAIT_LOG_DEBUG)
        return fail(ERR_USAGE, "plait_log_set: no such level (found %d, expected %d to %d)", level,
                    PLAIT_LOG_ERROR, PLAIT_LOG_DEBUG);
    log_set_level((enum log_level)level);
    return OK;
}

int plait_threads_set(int threads)
{
    enum { MOST = 65536 };

    error_clear();
    if (threads < 1 || threads > MOST)
        return fail(ERR_USAGE, "plait_threads_set: wrong number of threads (found %d, expected 1 to %d)",
                    threads, MOST);
    parallel_set_threads(threads);
    return OK;
}

int plait_threads_get(void)
{
    return parallel_threads();
}
