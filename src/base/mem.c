/* Host memory. The C library's allocator is called from this file alone, so that "no memory" is handled in
 * one place; glibc's and musl's give 16-byte alignment. What the system has left is in mem_available.c. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"

enum { HUGE_PAGE = 2 << 20, ARENA_BLOCK = 16 << 10, ARENA_BLOCK_MAX = 1 << 20 };

struct arena_block {
    struct arena_block *next;
    size_t used, capacity;
    size_t unused; /* keeps the bytes behind at a multiple of 16 */
    char bytes[];
};
_Static_assert(sizeof(struct arena_block) % 16 == 0, "what an arena gives is aligned to 16");

void *mem_alloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p)
        out_of_memory(bytes);
    return p;
}

void *mem_alloc_array(size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        out_of_memory(SIZE_MAX);
    return mem_alloc(total);
}

void *mem_resize(void *p, size_t bytes)
{
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        out_of_memory(bytes);
    return q;
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t length)
{
    if (length == SIZE_MAX)
        out_of_memory(SIZE_MAX);
    char *copy = mem_resize(NULL, length + 1);
    if (length)
        memcpy(copy, s, length);
    copy[length] = '\0';
    return copy;
}

void *mem_grow(void *array, size_t count, size_t *capacity, size_t bytes)
{
    if (count < *capacity)
        return array;
    size_t wanted, total;
    if (__builtin_add_overflow(count, count / 2 + 8, &wanted) ||
        __builtin_mul_overflow(wanted, bytes, &total))
        out_of_memory(SIZE_MAX);
    array = mem_resize(array, total);
    *capacity = wanted;
    return array;
}

/* Bytes of whole pages, 0 when that overflows. */
static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes > SIZE_MAX / 2)
        return 0;
    return bytes ? (bytes + page - 1) / page * page : page;
}

void *mem_map(size_t bytes)
{
    size_t length = whole_pages(bytes);
    if (!length)
        return NULL;
    size_t slack = length >= HUGE_PAGE ? HUGE_PAGE : 0; /* to start at a huge page's edge */
    char *p = mmap(NULL, length + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (!slack)
        return p;
    size_t head = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    if (head)
        munmap(p, head);
    if (slack - head)
        munmap(p + head + length, slack - head);
    madvise(p + head, length, MADV_HUGEPAGE);
    return p + head;
}

void mem_unmap(void *p, size_t bytes)
{
    if (p && munmap(p, whole_pages(bytes)) != 0)
        BUG("mem_unmap of %zu bytes that were not mapped", bytes);
}

bool checked_mul(int64_t a, int64_t b, int64_t *out)
{
    int64_t result;
    if (__builtin_mul_overflow(a, b, &result))
        return false;
    *out = result;
    return true;
}

bool checked_add(int64_t a, int64_t b, int64_t *out)
{
    int64_t result;
    if (__builtin_add_overflow(a, b, &result))
        return false;
    *out = result;
    return true;
}

void arena_init(struct arena *a)
{
    a->blocks = NULL;
}

void arena_release(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        mem_free(a->blocks);
        a->blocks = next;
    }
}

/* The first block is the one in use; a large piece gets a block of its own behind it. */
void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX - sizeof(struct arena_block) - 16)
        out_of_memory(bytes);
    size_t rounded = bytes ? (bytes + 15) / 16 * 16 : 16;
    struct arena_block *first = a->blocks;
    if (first && rounded <= first->capacity - first->used) {
        void *p = first->bytes + first->used;
        first->used += rounded;
        return p;
    }
    size_t usual = first && first->capacity >= ARENA_BLOCK ? first->capacity * 2 : ARENA_BLOCK;
    if (usual > ARENA_BLOCK_MAX)
        usual = ARENA_BLOCK_MAX;
    bool alone = rounded > usual / 4;
    size_t capacity = alone ? rounded : usual;
    struct arena_block *b = mem_alloc(sizeof(*b) + capacity);
    b->capacity = capacity;
    b->used = rounded;
    if (alone && first) {
        b->next = first->next;
        first->next = b;
    } else {
        b->next = first;
        a->blocks = b;
    }
    return b->bytes;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_strndup(struct arena *a, const char *s, size_t length)
{
    if (length == SIZE_MAX)
        out_of_memory(SIZE_MAX);
    char *copy = arena_alloc(a, length + 1);
    if (length)
        memcpy(copy, s, length);
    return copy;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        BUG("a format that cannot be printed: %s", format);
    char *text = arena_alloc(a, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
