#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 4096, HINT_BYTES = 1024 };

struct record {
    int status;
    char message[MESSAGE_BYTES];
    char hint[HINT_BYTES];
};

static _Thread_local struct record record;

/* What vsnprintf wrote into `out` (it would have taken `wanted` bytes) becomes one safe line. */
static void tidy(char *out, size_t size, int wanted)
{
    if (wanted < 0)
        snprintf(out, size, "(a message that cannot be formatted)");
    else if ((size_t)wanted >= size)
        memcpy(out + size - 4, "...", 4);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

int fail(int status, const char *format, ...)
{
    if (status == OK)
        BUG("fail() called with status OK: %s", format);
    if (record.status != OK)
        return status;
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tidy(text, sizeof(text), wanted);
    memcpy(record.message, text, sizeof(text));
    record.status = status;
    return status;
}

void error_hint(const char *format, ...)
{
    if (record.status == OK)
        return;
    char text[HINT_BYTES];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tidy(text, sizeof(text), wanted);
    memcpy(record.hint, text, sizeof(text));
}

int error_prefix(const char *format, ...)
{
    if (record.status == OK)
        return OK;
    char text[2 * MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, MESSAGE_BYTES, format, args);
    va_end(args);
    tidy(text, MESSAGE_BYTES, wanted);
    size_t length = strlen(text);
    size_t rest = strlen(record.message);
    memcpy(text + length, record.message, rest + 1);
    if (length + rest >= MESSAGE_BYTES)
        memcpy(text + MESSAGE_BYTES - 4, "...", 4);
    memcpy(record.message, text, MESSAGE_BYTES);
    return record.status;
}

const char *error_message(void)
{
    return record.status == OK ? "" : record.message;
}

const char *error_hint_text(void)
{
    return record.status == OK ? "" : record.hint;
}

int error_status(void)
{
    return record.status;
}

void error_clear(void)
{
    record.status = OK;
    record.message[0] = '\0';
    record.hint[0] = '\0';
}

int error_exit_code(int status)
{
    return -status;
}

void bug_at(const char *file, int line, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tidy(text, sizeof(text), wanted);
    fflush(stdout);
    fprintf(stderr, "plait: BUG: %s:%d: %s\n", file, line, text);
    abort();
}

/* _exit: other threads may be at work, and nothing that needs memory may run any more. */
void out_of_memory(size_t bytes)
{
    char text[96];
    int length =
        snprintf(text, sizeof(text), "plait: error: out of memory (%zu more bytes were needed)\n", bytes);
    ssize_t ignored = write(STDERR_FILENO, text, (size_t)length);
    (void)ignored;
    _exit(error_exit_code(ERR_SYSTEM));
}
