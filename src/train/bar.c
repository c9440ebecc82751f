#include "train/bar.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { CELLS = 20, LEAST_WIDTH = 20, USUAL_WIDTH = 80 };

bool bar_possible(void)
{
    const char *term = getenv("TERM");

    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 && log_enabled(LOG_INFO);
}

static void put(const char *bytes, size_t length)
{
    ssize_t n = write(STDERR_FILENO, bytes, length);

    (void)n; /* a line that is redrawn anyway */
}

static void draw(void *context, bool clear)
{
    static const char erase[] = "\r\033[K";
    struct bar *b = context;

    put(erase, sizeof(erase) - 1);
    if (!clear)
        put(b->line.data, b->line.length);
}

void bar_begin(struct bar *b)
{
    *b = (struct bar){ .shown = true, .drawn = -1 };
    str_init(&b->line);
    log_set_status_line(draw, b);
}

void bar_end(struct bar *b)
{
    if (!b->shown)
        return;
    draw(b, true);
    log_set_status_line(NULL, NULL);
    str_release(&b->line);
    b->shown = false;
}

static size_t terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < LEAST_WIDTH)
        return USUAL_WIDTH;
    return size.ws_col;
}

static void compose(struct str *line, const struct bar_state *s)
{
    int filled = s->total > 0 ? (int)((double)CELLS * (double)s->done / (double)s->total) : 0;

    str_clear(line);
    str_appendf(line, "%s: %3.0f%% |", s->what,
                s->total > 0 ? 100.0 * (double)s->done / (double)s->total : 0);
    for (int i = 0; i < CELLS; i++)
        str_append_char(line, i < filled ? '#' : ' ');
    str_append(line, "| ");
    str_append_count(line, s->done);
    str_append_char(line, '/');
    str_append_count(line, s->total);
    if (s->detail && *s->detail)
        str_appendf(line, ", %s", s->detail);
    if (s->seconds_left >= 0) {
        str_append(line, ", ");
        str_append_duration(line, s->seconds_left);
        str_append(line, " left");
    }
}

void bar_update(struct bar *b, const struct bar_state *s)
{
    double now = clock_seconds();
    size_t width;

    if (!b->shown || (b->drawn >= 0 && now - b->drawn < 0.1 && s->done < s->total))
        return;
    b->drawn = now;
    compose(&b->line, s);
    width = terminal_width() - 1;
    if (b->line.length > width) {
        b->line.length = width;
        b->line.data[width] = '\0';
    }
    draw(b, false);
}
