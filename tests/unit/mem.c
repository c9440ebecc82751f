/* Allocation, arenas, and how much memory is left, read from made-up systems. */
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/child.h"
#include "lib/scratch.h"

static void allocations_are_zeroed_and_aligned(void **state)
{
    for (size_t bytes = 0; bytes < 3000; bytes = bytes * 2 + 1) {
        unsigned char *p = mem_alloc(bytes), *q = mem_alloc(bytes);
        assert_ptr_not_equal(p, q);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, bytes);
        mem_free(p);
        mem_free(q);
    }
    int *array = mem_alloc_array(1000, sizeof(*array));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(array[i], 0);
    array = mem_resize(array, 2000 * sizeof(*array));
    assert_int_equal(array[999], 0);
    mem_free(mem_resize(array, 0));
    mem_free(NULL);
}

static int overflow(void)
{
    return mem_alloc_array(SIZE_MAX / 4, 8) == NULL;
}

static int too_much(void)
{
    return mem_alloc(SIZE_MAX / 2 - 4096) == NULL;
}

static int grow_too_much(void)
{
    size_t capacity = SIZE_MAX / 8;
    return mem_grow(NULL, SIZE_MAX / 8, &capacity, 16) == NULL;
}

static int arena_too_much(void)
{
    struct arena a;
    arena_init(&a);
    return arena_alloc(&a, SIZE_MAX - 8) == NULL;
}

static void no_memory_ends_the_process(void **state)
{
    static int (*const ways[])(void) = { overflow, too_much, grow_too_much, arena_too_much };
    static struct child c;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        child_run(&c, ways[i]);
        assert_int_equal(c.exit_code, 71);
        assert_non_null(strstr(c.text, "plait: error: out of memory ("));
    }
}

static void strings_are_copied(void **state)
{
    char *s = mem_strdup("text");
    char *t = mem_strndup("a\0b--", 3);
    char *u = mem_strndup(NULL, 0);
    assert_string_equal(s, "text");
    assert_memory_equal(t, "a\0b\0", 4);
    assert_string_equal(u, "");
    mem_free(s);
    mem_free(t);
    mem_free(u);
}

static void arrays_grow(void **state)
{
    size_t n = 0, capacity = 0, moves = 0;
    int64_t *v = NULL;
    while (n < 100000) {
        size_t before = capacity;
        v = mem_grow(v, n, &capacity, sizeof(*v));
        assert_true(capacity > n);
        moves += capacity != before;
        v[n] = (int64_t)n * 3;
        n++;
    }
    assert_true(moves < 40);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(v[i], i * 3);
    mem_free(v);
}

static void maps_are_aligned_zeroed_and_given_back(void **state)
{
    static const size_t sizes[] = { 0, 1, 4096, 5000, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 64 << 20 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned char *p = mem_map(sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (sizes[i] >= 2 << 20 ? 2 << 20 : 4096), 0);
        if (sizes[i]) {
            assert_int_equal(p[0] | p[sizes[i] / 2] | p[sizes[i] - 1], 0);
            p[0] = p[sizes[i] - 1] = 1;
        }
        mem_unmap(p, sizes[i]);
    }
    assert_null(mem_map(SIZE_MAX));
    assert_null(mem_map((size_t)1 << 60));
    mem_unmap(NULL, 100);
}

static void resident_memory_is_seen(void **state)
{
    size_t bytes = 48 << 20;
    uint64_t before = mem_resident();
    unsigned char *p = mem_map(bytes);
    memset(p, 1, bytes);
    uint64_t during = mem_resident();
    assert_true(before > 0);
    assert_true(during >= before + bytes * 9 / 10);
    assert_true(during <= before + bytes * 2);
    mem_unmap(p, bytes);
    assert_true(mem_resident() < during - bytes / 2);
    assert_true(mem_peak_resident() >= before + bytes * 9 / 10);
}

static void arithmetic_is_checked(void **state)
{
    int64_t out = 5;
    assert_true(checked_mul(3, -4, &out));
    assert_int_equal(out, -12);
    assert_false(checked_mul(INT64_MAX / 2 + 1, 2, &out));
    assert_false(checked_mul(INT64_MIN, -1, &out));
    assert_int_equal(out, -12);
    assert_true(checked_mul(INT64_MAX, 1, &out));
    assert_true(out == INT64_MAX);
    assert_true(checked_add(-2, 5, &out));
    assert_int_equal(out, 3);
    assert_false(checked_add(INT64_MAX, 1, &out));
    assert_false(checked_add(INT64_MIN, -1, &out));
    assert_int_equal(out, 3);
}

static void arenas_keep_what_they_gave(void **state)
{
    enum { COUNT = 3000 };
    struct arena a;
    unsigned char *given[COUNT];
    arena_init(&a);
    for (size_t i = 0; i < COUNT; i++) {
        size_t bytes = i % 500 == 0 ? i * 100 : i % 97;
        given[i] = arena_alloc(&a, bytes);
        assert_int_equal((uintptr_t)given[i] % 16, 0);
        for (size_t j = 0; j < bytes; j++)
            assert_int_equal(given[i][j], 0);
        memset(given[i], (int)(i % 251 + 1), bytes);
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t bytes = i % 500 == 0 ? i * 100 : i % 97;
        for (size_t j = 0; j < bytes; j++)
            assert_int_equal(given[i][j], i % 251 + 1);
    }
    assert_ptr_not_equal(arena_alloc(&a, 0), arena_alloc(&a, 0));
    assert_string_equal(arena_strdup(&a, "name"), "name");
    assert_memory_equal(arena_strndup(&a, "a\0bc", 3), "a\0b\0", 4);
    assert_string_equal(arena_printf(&a, "%s-%05d", "x", 42), "x-00042");
    arena_release(&a);
    assert_null(a.blocks);
    arena_release(&a);
}

/* Writes ROOT/path with the directories it needs. */
static void put(void **state, const char *path, const char *text)
{
    char *full = scratch_path(state, path);
    for (char *p = full + strlen(*state) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(full, 0777);
    }
    scratch_put(full, text, strlen(text));
    mem_free(full);
}

static void available_is_the_least_of_all_limits(void **state)
{
    const char *root = *state;
    assert_true(mem_available_at(root) == UINT64_MAX);
    put(state, "proc/meminfo", "MemTotal:  9000 kB\nMemAvailableX: 1 kB\nMemAvailable:  8000 kB\n");
    assert_int_equal(mem_available_at(root), 8000 * 1024);

    put(state, "proc/self/cgroup", "1:name=systemd:/\n0::/job/step\n");
    put(state, "sys/fs/cgroup/job/step/memory.max", "max\n");
    put(state, "sys/fs/cgroup/job/step/memory.current", "100\n");
    assert_int_equal(mem_available_at(root), 8000 * 1024);
    put(state, "sys/fs/cgroup/job/memory.max", "5000\n"); /* the level above */
    put(state, "sys/fs/cgroup/job/memory.current", "3000\n");
    assert_int_equal(mem_available_at(root), 2000);
    put(state, "sys/fs/cgroup/job/memory.stat", "anon 1\ninactive_file 500\nactive_file 900\n");
    assert_int_equal(mem_available_at(root), 2500);
    put(state, "sys/fs/cgroup/memory.max", "1000\n"); /* the root, as inside a container */
    put(state, "sys/fs/cgroup/memory.current", "2000\n");
    assert_int_equal(mem_available_at(root), 0);
}

static void available_knows_the_old_groups(void **state)
{
    const char *root = *state;
    put(state, "proc/meminfo", "MemAvailable: 8000 kB\n");
    put(state, "proc/self/cgroup", "12:cpu,memoryx:/no\n4:cpu,memory:/docker/abc\n0::/\n");
    put(state, "sys/fs/cgroup/memory/no/memory.limit_in_bytes", "1\n");
    put(state, "sys/fs/cgroup/memory/no/memory.usage_in_bytes", "0\n");
    assert_int_equal(mem_available_at(root), 8000 * 1024);
    put(state, "sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n"); /* the path itself is the host's */
    put(state, "sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n");
    assert_int_equal(mem_available_at(root), 6000);
    put(state, "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
    put(state, "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "5\n");
    put(state, "sys/fs/cgroup/memory/memory.stat", "inactive_file 3\ntotal_inactive_file 250\n");
    assert_int_equal(mem_available_at(root), 6250);
}

static void slurm_limits_the_node(void **state)
{
    unsetenv("SLURM_MEM_PER_NODE");
    uint64_t free_now = mem_available();
    assert_true(free_now > 0 && free_now < UINT64_MAX);
    setenv("SLURM_MEM_PER_NODE", "1", 1);
    assert_int_equal(mem_available(), 0);
    uint64_t limit = 2 * mem_resident() / (1 << 20) + 8;
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)limit);
    setenv("SLURM_MEM_PER_NODE", text, 1);
    assert_true(mem_available() <= limit << 20);
    assert_true(mem_available() >= (free_now < limit << 20 ? free_now : limit << 20) / 4);
    setenv("SLURM_MEM_PER_NODE", "0", 1);
    assert_true(mem_available() > limit << 20);
    unsetenv("SLURM_MEM_PER_NODE");
}

static int limited_space(void)
{
    struct rlimit r = { .rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY };
    if (setrlimit(RLIMIT_AS, &r) != 0)
        return 2;
    return mem_available() == 0 ? 0 : 1;
}

static void address_space_is_limited(void **state)
{
    static struct child c;
    child_run(&c, limited_space);
    assert_int_equal(c.exit_code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_zeroed_and_aligned),
        cmocka_unit_test(no_memory_ends_the_process),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(maps_are_aligned_zeroed_and_given_back),
        cmocka_unit_test(resident_memory_is_seen),
        cmocka_unit_test(arithmetic_is_checked),
        cmocka_unit_test(arenas_keep_what_they_gave),
        cmocka_unit_test_setup_teardown(available_is_the_least_of_all_limits, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(available_knows_the_old_groups, scratch_create, scratch_remove),
        cmocka_unit_test(slurm_limits_the_node),
        cmocka_unit_test(address_space_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
