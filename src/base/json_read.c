/* The reader: a state machine over a stack of levels, one for each open object or array. A value may be read
 * only where one is due (at the start, after json_next_key, after json_next_element); a caller that forgets a
 * value or reads two is told by BUG. */
#include <stdarg.h>
#include <string.h>

#include "base/err.h"
#include "base/json_internal.h"
#include "base/map.h"
#include "base/mem.h"

enum { SLOTS_AT_START = 16 };

void json_reader_init(struct json_reader *r, const char *name, const char *bytes, size_t length)
{
    memset(r, 0, sizeof(*r));
    r->name = name;
    r->begin = r->p = bytes;
    r->end = bytes + length;
    r->meaning_status = ERR_DATA;
    r->value_due = true;
    r->seed = (uintptr_t)r;
    str_init(&r->text);
    str_init(&r->key);
    str_init(&r->other);
    if (length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
        r->begin = r->p = bytes + 3;
    r->value = r->p;
    bool wide = length >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0 ||
                                (bytes[0] == 0) != (bytes[1] == 0));
    if (wide)
        json_fail_at(r, ERR_DATA, r->p, "not UTF-8 (found what looks like UTF-16)");
}

void json_reader_release(struct json_reader *r)
{
    for (int i = 0; i < r->level_count; i++)
        mem_free(r->levels[i].slots);
    mem_free(r->levels);
    str_release(&r->text);
    str_release(&r->key);
    str_release(&r->other);
    memset(r, 0, sizeof(*r));
}

/* ---- levels ---- */

static bool level_push(struct json_reader *r, bool array)
{
    if (r->depth == JSON_MAX_DEPTH) {
        json_fail_at(r, ERR_DATA, r->p, "nesting deeper than 64");
        return false;
    }
    if (r->depth == r->level_count) {
        int count = r->level_count ? r->level_count * 2 : 4;
        r->levels = mem_resize(r->levels, (size_t)count * sizeof(*r->levels));
        memset(r->levels + r->level_count, 0, (size_t)(count - r->level_count) * sizeof(*r->levels));
        r->level_count = count;
    }
    struct json_level *level = &r->levels[r->depth++];
    if (++level->generation == 0) {
        memset(level->slots, 0, level->slot_count * sizeof(*level->slots));
        level->generation = 1;
    }
    level->array = array;
    level->first = true;
    level->key_count = 0;
    level->index = -1;
    level->key = NULL;
    level->start = r->p++;
    r->value_due = false;
    return true;
}

static void level_pop(struct json_reader *r)
{
    r->p++;
    r->depth--;
    r->value = r->levels[r->depth].start;
    r->value_due = false;
}

static struct json_level *level_top(struct json_reader *r, bool array)
{
    if (r->depth == 0 || r->levels[r->depth - 1].array != array || r->value_due)
        BUG("%s: the JSON reader is not inside %s, or a value was not read", r->name,
            array ? "an array" : "an object");
    return &r->levels[r->depth - 1];
}

bool json_object_begin(struct json_reader *r)
{
    return json_value_expect(r, JSON_OBJECT) && level_push(r, false);
}

bool json_array_begin(struct json_reader *r)
{
    return json_value_expect(r, JSON_ARRAY) && level_push(r, true);
}

/* Passes the comma before the next member. False: the level has ended, or an error. */
static bool level_next(struct json_reader *r, struct json_level *level, char close, const char *expected)
{
    json_skip_space(r);
    char c = r->p < r->end ? *r->p : 0;
    if (c == close) {
        level_pop(r);
        return false;
    }
    if (!level->first && c != ',') {
        json_syntax_fail(r, r->p, "no comma", expected);
        return false;
    }
    if (!level->first) {
        r->p++;
        json_skip_space(r);
    }
    level->first = false;
    return true;
}

bool json_next_element(struct json_reader *r)
{
    if (r->status != OK)
        return false;
    struct json_level *level = level_top(r, true);
    if (!level_next(r, level, ']', "',' or ']'"))
        return false;
    level->index++;
    r->value = r->p;
    r->value_due = true;
    if (json_type_at(r->p, r->end) == JSON_NONE)
        json_type_fail(r, JSON_NONE, "a value");
    return r->status == OK;
}

/* ---- keys ---- */

/* Whether an earlier key of this object is the one read last. */
static bool key_equals(struct json_reader *r, uint64_t place)
{
    const char *raw = r->begin + place / 2;
    const struct json_string *key = &r->last_key;
    struct json_string other;
    struct json_lex_error ignored;
    if (place % 2 == 0)
        return (size_t)(r->end - raw) > key->length && memcmp(raw, key->data, key->length) == 0 &&
               raw[key->length] == '"';
    return json_lex_string(raw, r->end, &r->other, &other, &ignored) && other.length == key->length &&
           memcmp(other.data, key->data, key->length) == 0;
}

static void slots_grow(struct json_level *level)
{
    size_t old_count = level->slot_count, count = old_count ? old_count * 2 : SLOTS_AT_START;
    struct json_key_slot *old = level->slots, *slots = mem_alloc_array(count, sizeof(*slots));
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].generation != level->generation)
            continue;
        size_t j = old[i].hash & (count - 1);
        while (slots[j].generation == level->generation)
            j = (j + 1) & (count - 1);
        slots[j] = old[i];
    }
    mem_free(old);
    level->slots = slots;
    level->slot_count = count;
}

/* Adds the key read last to the level's set. False: it was there. */
static bool key_add(struct json_reader *r, struct json_level *level, const char *raw)
{
    bool escaped = r->last_key.data != raw;
    uint32_t hash = (uint32_t)hash_bytes(r->last_key.data, r->last_key.length, r->seed);
    if (level->key_count + level->key_count / 2 >= level->slot_count)
        slots_grow(level);
    size_t i = hash & (level->slot_count - 1);
    for (; level->slots[i].generation == level->generation; i = (i + 1) & (level->slot_count - 1))
        if (level->slots[i].hash == hash && key_equals(r, level->slots[i].place))
            return false;
    level->slots[i] = (struct json_key_slot){ .generation = level->generation,
                                              .hash = hash,
                                              .place = (uint64_t)(raw - r->begin) * 2 + escaped };
    level->key_count++;
    return true;
}

static void duplicate_fail(struct json_reader *r)
{
    struct str s;
    str_init(&s);
    str_append(&s, "duplicate key \"");
    str_append_escaped(&s, r->last_key.data, r->last_key.length, 80);
    str_append_char(&s, '"');
    json_fail_at(r, ERR_DATA, r->p, s.data);
    str_release(&s);
}

static bool read_key(struct json_reader *r, struct json_level *level)
{
    struct json_lex_error e;
    if (r->p == r->end || *r->p != '"') {
        json_syntax_fail(r, r->p, "no key", "a string");
        return false;
    }
    const char *raw = r->p + 1, *after = json_lex_string(raw, r->end, &r->key, &r->last_key, &e);
    if (!after) {
        json_syntax_fail(r, e.at, e.what, e.expected);
        return false;
    }
    if (!key_add(r, level, raw)) {
        duplicate_fail(r);
        return false;
    }
    r->value = r->p;
    r->p = after;
    level->key = raw;
    json_skip_space(r);
    if (r->p == r->end || *r->p != ':') {
        json_syntax_fail(r, r->p, "no colon after a key", "':'");
        return false;
    }
    r->p++;
    return true;
}

bool json_next_key(struct json_reader *r, struct json_string *key)
{
    *key = (struct json_string){ .data = "" };
    if (r->status != OK)
        return false;
    struct json_level *level = level_top(r, false);
    level->key = NULL;
    if (!level_next(r, level, '}', "',' or '}'") || !read_key(r, level))
        return false;
    r->value_due = true;
    *key = r->last_key;
    return true;
}

bool json_key_is(const struct json_reader *r, const char *name)
{
    return r->status == OK && strlen(name) == r->last_key.length &&
           memcmp(name, r->last_key.data, r->last_key.length) == 0;
}

/* ---- the end ---- */

int json_fail(struct json_reader *r, const char *format, ...)
{
    struct str s;
    va_list args;
    str_init(&s);
    va_start(args, format);
    str_append_vf(&s, format, args);
    va_end(args);
    json_fail_at(r, r->meaning_status, r->value, s.data);
    str_release(&s);
    return r->status;
}

int json_status(const struct json_reader *r)
{
    return r->status;
}

int json_end(struct json_reader *r)
{
    if (r->status != OK)
        return r->status;
    if (r->depth > 0 || r->value_due)
        BUG("%s: the JSON text was not read to its end", r->name);
    json_skip_space(r);
    if (r->p < r->end)
        json_syntax_fail(r, r->p, "text after the value", NULL);
    return r->status;
}
