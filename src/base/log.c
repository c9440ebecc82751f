/* A line is put together in memory and handed to the system in one write, so lines of several threads or
 * processes do not mix. The state here (level, texts already noted, the status line) is the one that the
 * style allows a file. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "base/map.h"
#include "base/str.h"

enum { NOTED = 1024 };

static _Atomic int current_level = LOG_INFO;
static _Atomic uint64_t noted[NOTED]; /* hashes of texts, 0 free; when all are taken, texts repeat */
static void (*draw_status)(void *context, bool clear);
static void *draw_context;

void log_set_level(enum log_level level)
{
    current_level = (int)level;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= current_level;
}

void log_set_status_line(void (*draw)(void *context, bool clear), void *context)
{
    draw_status = draw;
    draw_context = context;
}

static void print_line(struct str *line)
{
    str_append_char(line, '\n');
    if (draw_status)
        draw_status(draw_context, true);
    for (size_t done = 0; done < line->length;) {
        ssize_t n = write(STDERR_FILENO, line->data + done, line->length - done);
        if (n < 0 && errno != EINTR)
            break; /* nowhere left to complain */
        done += n > 0 ? (size_t)n : 0;
    }
    if (draw_status)
        draw_status(draw_context, false);
}

/* True the first time, for each text. */
static bool first_time(const struct str *text)
{
    uint64_t hash = hash_bytes(text->data, text->length, 0);
    hash += hash == 0;
    for (size_t i = 0; i < NOTED; i++) {
        uint64_t seen = 0;
        if (atomic_compare_exchange_strong(&noted[(hash + i) % NOTED], &seen, hash))
            return true;
        if (seen == hash)
            return false;
    }
    return true;
}

static void __attribute__((format(printf, 3, 0)))
print_at(enum log_level level, const char *prefix, const char *format, va_list args)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    struct str line;
    str_init(&line);
    str_append(&line, prefix);
    str_append_vf(&line, format, args);
    print_line(&line);
    str_release(&line);
    errno = saved;
}

void warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_at(LOG_WARNING, "plait: warning: ", format, args);
    va_end(args);
}

void note(const char *format, ...)
{
    if (!log_enabled(LOG_INFO))
        return;
    int saved = errno;
    struct str line;
    str_init(&line);
    str_append(&line, "plait: note: ");
    va_list args;
    va_start(args, format);
    str_append_vf(&line, format, args);
    va_end(args);
    if (first_time(&line))
        print_line(&line);
    str_release(&line);
    errno = saved;
}

void inform(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_at(LOG_INFO, "", format, args);
    va_end(args);
}

void debug(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_at(LOG_DEBUG, "", format, args);
    va_end(args);
}
