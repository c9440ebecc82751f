#include "train/events.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"

/* Field numbers of Event, Summary, Summary.Value and SessionLog. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, SESSION_STATUS = 1, SESSION_START = 1 };

static const char version[] = "brain.Event:2";

static void put_event(struct events *e, int64_t step, int field, const void *bytes, size_t length)
{
    struct str event;

    str_init(&event);
    wire_put_double(&event, EVENT_WALL_TIME, clock_calendar());
    if (step >= 0)
        wire_put_varint(&event, EVENT_STEP, (uint64_t)step);
    wire_put_bytes(&event, field, bytes, length);
    wire_put_record(&e->pending, event.data, event.length);
    str_release(&event);
}

static void put_start(struct events *e, int64_t step)
{
    struct str session;

    str_init(&session);
    wire_put_varint(&session, SESSION_STATUS, SESSION_START);
    put_event(e, step, EVENT_SESSION, session.data, session.length);
    str_release(&session);
}

static char *file_path(const char *directory)
{
    char host[256] = "";
    struct str path;

    gethostname(host, sizeof(host) - 1);
    str_init(&path);
    str_appendf(&path, "%s/events.out.tfevents.%010.0f.%s.%ld.0", directory, clock_calendar(), host,
                (long)getpid());
    return str_detach(&path);
}

int events_open(struct events *e, const char *directory, int64_t step)
{
    struct events opened = { .fd = -1 };
    int status = directory_create(directory);

    if (status != OK)
        return status;
    opened.path = file_path(directory);
    str_init(&opened.pending);
    status = file_create(opened.path, &opened.fd);
    if (status != OK) {
        mem_free(opened.path);
        return status;
    }
    put_event(&opened, -1, EVENT_FILE_VERSION, version, sizeof(version) - 1);
    if (step > 0)
        put_start(&opened, step + 1);
    events_flush(&opened);
    *e = opened;
    return OK;
}

void events_close(struct events *e)
{
    if (!e->path)
        return;
    events_flush(e);
    close(e->fd);
    mem_free(e->path);
    str_release(&e->pending);
    *e = (struct events){ .fd = -1 };
}

void events_scalar(struct events *e, const char *tag, int64_t step, double value)
{
    struct str one, summary;

    if (e->fd < 0)
        return;
    str_init(&one);
    str_init(&summary);
    wire_put_bytes(&one, VALUE_TAG, tag, strlen(tag));
    wire_put_float(&one, VALUE_SIMPLE, (float)value);
    wire_put_bytes(&summary, SUMMARY_VALUE, one.data, one.length);
    put_event(e, step, EVENT_SUMMARY, summary.data, summary.length);
    str_release(&summary);
    str_release(&one);
}

void events_flush(struct events *e)
{
    if (e->fd < 0 || e->pending.length == 0)
        return;
    if (!e->failed && fd_write(e->fd, e->path, e->pending.data, e->pending.length) != OK) {
        warn("%s; training goes on without it", error_message());
        e->failed = true;
        error_clear();
    }
    str_clear(&e->pending);
}
