#include "train/train_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

/* The step of a line, -1 when it is no line of ours. */
static int64_t step_of(const char *line, size_t length, bool *evaluation)
{
    struct json_reader r;
    struct json_string key;
    int64_t step = -1;

    *evaluation = false;
    json_reader_init(&r, TRAIN_LOG_NAME, line, length);
    if (json_object_begin(&r)) {
        while (json_next_key(&r, &key)) {
            *evaluation = *evaluation || json_key_is(&r, "eval_loss");
            if (json_key_is(&r, "step"))
                step = json_int(&r, 0, INT64_MAX);
            else
                json_skip(&r);
        }
    }
    if (json_end(&r) != OK) {
        error_clear();
        step = -1;
    }
    json_reader_release(&r);
    return step;
}

/* Where what belongs to a later step begins. */
static size_t find_cut(struct train_log *l, const struct str *text, int64_t step)
{
    size_t at = 0;

    while (at < text->length) {
        const char *line = text->data + at, *end = memchr(line, '\n', text->length - at);
        bool evaluation;
        int64_t found = end ? step_of(line, (size_t)(end - line), &evaluation) : -1;
        if (found < 0 || found > step)
            break;
        if (evaluation)
            l->evaluated = found;
        at += (size_t)(end - line) + 1;
    }
    return at;
}

static int cut_back(struct train_log *l, int64_t step)
{
    struct str text;
    size_t cut;
    int status = OK;

    str_init(&text);
    if (step > 0)
        status = file_read(l->path, 0, &text);
    if (status == OK) {
        cut = find_cut(l, &text, step);
        if (ftruncate(l->fd, (off_t)cut) != 0)
            status = fail(ERR_IO, "%s: cannot shorten: %s", l->path, strerror(errno));
    }
    str_release(&text);
    return status;
}

int train_log_open(struct train_log *l, const char *directory, int64_t step)
{
    struct train_log opened = { .path = path_join(directory, TRAIN_LOG_NAME), .evaluated = -1 };
    int status = OK;

    opened.fd = open(opened.path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (opened.fd < 0)
        status = fail(ERR_CREATE, "%s: cannot create: %s", opened.path, strerror(errno));
    else
        status = cut_back(&opened, step);
    if (status == OK)
        *l = opened;
    else
        train_log_close(&opened);
    return status;
}

void train_log_close(struct train_log *l)
{
    if (l->fd >= 0 && l->path)
        close(l->fd);
    mem_free(l->path);
    *l = (struct train_log){ .fd = -1 };
}

void train_log_write(struct train_log *l, const struct str *line)
{
    struct str whole;

    if (l->fd < 0)
        return;
    str_init(&whole);
    str_append_bytes(&whole, line->data, line->length);
    str_append_char(&whole, '\n');
    if (fd_write(l->fd, l->path, whole.data, whole.length) != OK) {
        if (!l->failed)
            warn("%s; training goes on", error_message());
        l->failed = true;
        error_clear();
    }
    str_release(&whole);
}
