#include "train/bar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { MOST_CELLS = 20, LEAST_CELLS = 5, LEAST_WIDTH = 20, USUAL_WIDTH = 80 };

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

void bar_compose(struct str *line, const struct bar_state *s, size_t width)
{
    double part = s->total > 0 ? (double)s->done / (double)s->total : 0;
    struct str tail;
    size_t cells;

    str_init(&tail);
    str_append_count(&tail, s->done);
    str_append_char(&tail, '/');
    str_append_count(&tail, s->total);
    if (s->detail && *s->detail)
        str_appendf(&tail, ", %s", s->detail);
    if (s->seconds_left >= 0) {
        str_append(&tail, ", ");
        str_append_duration(&tail, s->seconds_left);
        str_append(&tail, " left");
    }
    str_clear(line);
    str_appendf(line, "%s: %3.0f%% |", s->what, 100 * part);
    cells = line->length + strlen("| ") + tail.length;
    cells = cells + LEAST_CELLS > width ? LEAST_CELLS : width - cells;
    if (cells > MOST_CELLS)
        cells = MOST_CELLS;
    for (size_t i = 0; i < cells; i++)
        str_append_char(line, (double)i < floor((double)cells * part) ? '#' : ' ');
    str_appendf(line, "| %s", tail.data);
    if (line->length > width)
        str_cut(line, width);
    str_release(&tail);
}

void bar_update(struct bar *b, const struct bar_state *s)
{
    double now = clock_seconds();

    if (!b->shown || (b->drawn >= 0 && now - b->drawn < 0.1 && s->done < s->total))
        return;
    b->drawn = now;
    bar_compose(&b->line, s, terminal_width() - 1);
    draw(b, false);
}
