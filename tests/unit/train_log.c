/* What a run leaves behind while it goes on: train_log.jsonl and TensorBoard's event files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/wire.h"
#include "lib/scratch.h"
#include "train/events.h"
#include "train/train_log.h"

/* ---- train_log.jsonl ---- */

static const char old_log[] = "{\"step\": 2, \"loss\": 5.0}\n"
                              "{\"step\": 4, \"loss\": 4.0}\n"
                              "{\"step\": 4, \"eval_loss\": 4.5}\n"
                              "{\"step\": 6, \"loss\": 3.0}\n"
                              "{\"step\": 8, \"lo";

static void assert_log(void **state, const char *expected)
{
    char *path = scratch_path(state, TRAIN_LOG_NAME);
    struct str text;

    str_init(&text);
    assert_int_equal(file_read(path, 0, &text), OK);
    assert_string_equal(text.data, expected);
    str_release(&text);
    mem_free(path);
}

static void open_at(void **state, struct train_log *l, int64_t step)
{
    char *path = scratch_path(state, TRAIN_LOG_NAME);

    scratch_put(path, old_log, strlen(old_log));
    assert_int_equal(train_log_open(l, *state, step), OK);
    mem_free(path);
}

static void what_came_later_goes(void **state)
{
    struct train_log l;
    struct str line;

    open_at(state, &l, 6);
    assert_int_equal(l.evaluated, 4);
    str_init(&line);
    str_append(&line, "{\"step\": 7}");
    train_log_write(&l, &line);
    train_log_close(&l);
    str_release(&line);
    assert_log(state, "{\"step\": 2, \"loss\": 5.0}\n{\"step\": 4, \"loss\": 4.0}\n"
                      "{\"step\": 4, \"eval_loss\": 4.5}\n{\"step\": 6, \"loss\": 3.0}\n{\"step\": 7}\n");
    open_at(state, &l, 3);
    assert_int_equal(l.evaluated, -1);
    train_log_close(&l);
    assert_log(state, "{\"step\": 2, \"loss\": 5.0}\n");
    open_at(state, &l, 0);
    train_log_close(&l);
    assert_log(state, "");
}

static void a_line_that_is_no_json_ends_it(void **state)
{
    char *path = scratch_path(state, TRAIN_LOG_NAME);
    static const char text[] = "{\"step\": 1}\nnonsense\n{\"step\": 2}\n";
    struct train_log l;

    scratch_put(path, text, strlen(text));
    assert_int_equal(train_log_open(&l, *state, 5), OK);
    train_log_close(&l);
    assert_log(state, "{\"step\": 1}\n");
    mem_free(path);
}

/* ---- events ---- */

struct scalar {
    char tag[40];
    int64_t step;
    double value;
};

struct found {
    struct scalar scalars[8];
    int count;
    int64_t start; /* of a session; -1: none */
    bool versioned;
};

static void read_value(struct found *f, const struct wire_field *summary, int64_t step)
{
    struct wire_reader r, v;
    struct wire_field value, field;
    struct scalar *s = &f->scalars[f->count++];

    wire_reader_init(&r, "summary", summary->bytes, summary->value);
    assert_true(wire_next(&r, &value));
    assert_int_equal(value.number, 1);
    s->step = step;
    wire_reader_init(&v, "value", value.bytes, value.value);
    while (wire_next(&v, &field)) {
        if (field.number == 1)
            memcpy(s->tag, field.bytes, field.value);
        else if (field.number == 2 && field.type == WIRE_32_BIT)
            s->value = wire_float(&field);
    }
    assert_int_equal(wire_status(&v), OK);
}

static double double_of(const struct wire_field *f)
{
    double v;

    memcpy(&v, &f->value, sizeof(v));
    return v;
}

static void read_event(struct found *f, const char *bytes, size_t length)
{
    struct wire_reader r;
    struct wire_field field;
    int64_t step = 0;

    wire_reader_init(&r, "event", bytes, length);
    while (wire_next(&r, &field)) {
        if (field.number == 1)
            assert_true(double_of(&field) > 1e9);
        else if (field.number == 2)
            step = (int64_t)field.value;
        else if (field.number == 3)
            f->versioned = field.value == 13 && memcmp(field.bytes, "brain.Event:2", 13) == 0;
        else if (field.number == 5)
            read_value(f, &field, step);
        else if (field.number == 7)
            f->start = step;
    }
    assert_int_equal(wire_status(&r), OK);
}

static uint32_t masked(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static void read_events(const char *directory, struct found *f)
{
    char **names, *path;
    size_t count;
    struct str text;

    *f = (struct found){ .start = -1 };
    assert_int_equal(directory_list(directory, &names, &count), OK);
    assert_int_equal(count, 1);
    assert_non_null(strstr(names[0], "events.out.tfevents."));
    path = path_join(directory, names[0]);
    str_init(&text);
    assert_int_equal(file_read(path, 0, &text), OK);
    for (size_t at = 0; at < text.length;) {
        uint64_t length;
        uint32_t crc;
        memcpy(&length, text.data + at, 8);
        memcpy(&crc, text.data + at + 8, 4);
        assert_int_equal(crc, masked(crc32c(text.data + at, 8)));
        assert_true(at + 16 + length <= text.length);
        read_event(f, text.data + at + 12, length);
        at += 16 + length;
    }
    str_release(&text);
    mem_free(path);
    names_free(names, count);
}

static void events_hold_scalars(void **state)
{
    char *directory = scratch_path(state, "runs/a");
    struct events e;
    struct found f;

    assert_int_equal(events_open(&e, directory, 0), OK);
    events_scalar(&e, "train/loss", 1, 7.25);
    events_scalar(&e, "train/learning_rate", 300, 0.5);
    events_flush(&e);
    read_events(directory, &f);
    assert_true(f.versioned);
    assert_int_equal(f.start, -1);
    assert_int_equal(f.count, 2);
    assert_string_equal(f.scalars[0].tag, "train/loss");
    assert_int_equal(f.scalars[0].step, 1);
    assert_true(f.scalars[0].value == 7.25);
    assert_int_equal(f.scalars[1].step, 300);
    events_close(&e);
    mem_free(directory);
}

static void a_run_that_goes_on_says_where(void **state)
{
    char *directory = scratch_path(state, "runs/b");
    struct events e;
    struct found f;

    assert_int_equal(events_open(&e, directory, 40), OK);
    events_scalar(&e, "eval/loss", 50, 2);
    events_close(&e);
    read_events(directory, &f);
    assert_int_equal(f.start, 41); /* what an older file has from here on is gone */
    assert_int_equal(f.count, 1);
    events_scalar(&e, "eval/loss", 51, 2); /* closed: nothing */
    mem_free(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_came_later_goes, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(a_line_that_is_no_json_ends_it, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(events_hold_scalars, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(a_run_that_goes_on_says_where, scratch_create, scratch_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
