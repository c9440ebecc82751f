/* The map against a plain list, and its hash against published values. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void empty_maps_hold_nothing(void **state)
{
    struct map m;
    int64_t v = 7;
    map_init(&m);
    assert_null(map_find(&m, "a", 1));
    assert_false(map_get(&m, "a", 1, &v));
    assert_int_equal(v, 7);
    assert_int_equal(m.count, 0);
    map_release(&m);
}

static void set_replaces_and_add_keeps(void **state)
{
    struct map m;
    int64_t v = 0;
    map_init(&m);
    assert_true(map_set(&m, "one", 3, 1));
    assert_false(map_set(&m, "one", 3, 10));
    assert_true(map_get(&m, "one", 3, &v));
    assert_int_equal(v, 10);
    assert_false(map_add(&m, "one", 3, 100));
    assert_true(map_add(&m, "two", 3, 2));
    assert_int_equal(map_find(&m, "one", 3)->value, 10);
    assert_int_equal(map_find(&m, "two", 3)->value, 2);
    map_find(&m, "two", 3)->value = 5;
    assert_true(map_get(&m, "two", 3, &v));
    assert_int_equal(v, 5);
    assert_int_equal(m.count, 2);
    map_release(&m);
    assert_int_equal(m.count, 0);
}

static void keys_are_byte_strings(void **state)
{
    static const struct {
        const char *key;
        size_t length;
    } rows[] = {
        { "", 0 }, { "\0", 1 }, { "\0\0", 2 }, { "a", 1 }, { "a\0", 2 }, { "a\0b", 3 }, { "ab", 2 }
    };
    enum { COUNT = sizeof(rows) / sizeof(rows[0]) };
    struct map m;
    map_init(&m);
    for (int i = 0; i < COUNT; i++)
        assert_true(map_add(&m, rows[i].key, rows[i].length, i));
    assert_false(map_add(&m, NULL, 0, 99));
    for (int i = 0; i < COUNT; i++) {
        int64_t v = -1;
        assert_true(map_get(&m, rows[i].key, rows[i].length, &v));
        assert_int_equal(v, i);
        assert_int_equal(m.entries[i].length, rows[i].length);
        assert_memory_equal(m.entries[i].key, rows[i].key, rows[i].length + 1); /* with the NUL */
        assert_ptr_not_equal(m.entries[i].key, rows[i].key);
    }
    assert_null(map_find(&m, "a\0c", 3));
    map_release(&m);
}

static void many_keys_keep_their_order(void **state)
{
    enum { COUNT = 200000 };
    struct map m;
    char key[32];
    map_init(&m);
    for (int i = 0; i < COUNT; i++) {
        int length = snprintf(key, sizeof(key), "%x", i * 7919);
        assert_true(map_set(&m, key, (size_t)length, i));
    }
    assert_int_equal(m.count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        int length = snprintf(key, sizeof(key), "%x", i * 7919);
        int64_t v = -1;
        assert_true(map_get(&m, key, (size_t)length, &v));
        assert_int_equal(v, i);
        assert_string_equal(m.entries[i].key, key);
        length = snprintf(key, sizeof(key), "%x ", i * 7919);
        assert_null(map_find(&m, key, (size_t)length));
    }
    assert_true(m.slot_count * 2 / 3 >= m.count);
    map_release(&m);
}

static void hash_is_xxh3(void **state)
{
    assert_true(hash_bytes("", 0, 0) == 0x2d06800538d394c2u);
    assert_true(hash_bytes("abc", 3, 0) == 0x78af5f94892f3950u);
    assert_true(hash_bytes("abc", 3, 1) != hash_bytes("abc", 3, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_maps_hold_nothing),
        cmocka_unit_test(set_replaces_and_add_keeps),
        cmocka_unit_test(keys_are_byte_strings),
        cmocka_unit_test(many_keys_keep_their_order),
        cmocka_unit_test(hash_is_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
