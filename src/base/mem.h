/* mem -- host memory. Small allocations never return NULL: when the system has none left the process says so
 * in one line and ends with exit code 71. Large planned blocks (mem_map) return NULL instead, so that callers
 * can name what they were for. An arena frees many small things at once. */
#ifndef PLAIT_BASE_MEM_H
#define PLAIT_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t bytes);                     /* zeroed; bytes 0 gives a unique pointer */
void *mem_alloc_array(size_t count, size_t bytes); /* zeroed; a product that overflows ends like no memory */
void *mem_resize(void *p, size_t bytes);           /* new bytes are not zeroed */
void mem_free(void *p);                            /* NULL is fine */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t length); /* length bytes, NULs kept, plus a final NUL */

/* Makes room for count + 1 elements of `bytes` each in a growing array; *capacity is in elements.
 *     v = mem_grow(v, n, &capacity, sizeof(*v)); v[n++] = x; */
void *mem_grow(void *array, size_t count, size_t *capacity, size_t bytes);

/* Page-aligned zeroed block straight from the system, huge pages where it has them; NULL: no memory. */
void *mem_map(size_t bytes);
void mem_unmap(void *p, size_t bytes);

/* Bytes this process may still take: the least of free RAM, cgroup limits (v1 and v2, every level), the limit
 * on address space (ulimit -v) and Slurm's SLURM_MEM_PER_NODE. mem_available_at reads /proc and /sys under
 * another root and looks at nothing else; it is there to be tested. */
uint64_t mem_available(void);
uint64_t mem_available_at(const char *root);
uint64_t mem_peak_resident(void); /* peak resident bytes of this process so far */
uint64_t mem_resident(void);

/* Checked arithmetic for counts that come from a file: true and *out written when it fits. */
bool checked_mul(int64_t a, int64_t b, int64_t *out);
bool checked_add(int64_t a, int64_t b, int64_t *out);

/* Arena: what is taken from it lives until arena_release. */
struct arena {
    struct arena_block *blocks;
};
void arena_init(struct arena *a);
void arena_release(struct arena *a);
void *arena_alloc(struct arena *a, size_t bytes); /* zeroed, aligned to 16 */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t length);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
