/* The instruction set is what both the processor and the system support: AVX registers must be saved when
 * threads change, which the system declares in XCR0 (Intel SDM vol. 1, 13.2 and 14.3). */
#include "cpu/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/parallel.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const isa_names[ISA_COUNT] = {
    [ISA_BASE] = "base", [ISA_AVX2] = "avx2", [ISA_AVX512] = "avx512"
};

const char *isa_name(enum isa isa)
{
    return isa_names[isa];
}

#if defined(__x86_64__)
static uint32_t saved_registers(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static enum isa detect_isa(void)
{
    enum { FMA = 1 << 12, OSXSAVE = 1 << 27, F16C = 1 << 29 };                      /* leaf 1, ecx */
    enum { AVX2 = 1 << 5, F = 1 << 16, DQ = 1 << 17, BW = 1 << 30 };                /* leaf 7, ebx */
    const uint32_t avx512 = F | DQ | BW | (1u << 31), leaf1 = FMA | OSXSAVE | F16C; /* bit 31: VL */
    const uint32_t ymm = 0x6, zmm = 0xe6;
    uint32_t a, b, c, d, saved;

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1)
        return ISA_BASE;
    saved = saved_registers();
    if ((saved & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & AVX2))
        return ISA_BASE;
    return (saved & zmm) == zmm && (b & avx512) == avx512 ? ISA_AVX512 : ISA_AVX2;
}
#else
static enum isa detect_isa(void)
{
    return ISA_BASE;
}
#endif

static int cap_isa(enum isa *isa)
{
    const char *cap = getenv("PLAIT_ISA");

    if (!cap || !*cap)
        return OK;
    for (int i = 0; i < ISA_COUNT; i++) {
        if (strcmp(cap, isa_names[i]) == 0) {
            if (i < (int)*isa)
                *isa = (enum isa)i;
            return OK;
        }
    }
    return fail(ERR_CONFIG,
                "PLAIT_ISA: no such instruction set (found \"%.20s\", expected base, avx2 or avx512)", cap);
}

/* The first line of a small file under processor 0's caches; false when there is none. */
static bool cache_fact(int index, const char *what, char line[32])
{
    char path[96];
    FILE *f;
    bool got;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, what);
    f = fopen(path, "r");
    if (!f)
        return false;
    got = fgets(line, 32, f) != NULL;
    fclose(f);
    return got;
}

/* "48K" or "2M" -> bytes; 0 when it is neither */
static int64_t size_of(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (n <= 0 || n > 1 << 20)
        return 0;
    return n * (*end == 'K' ? 1 << 10 : *end == 'M' ? 1 << 20 : 1);
}

static void detect_caches(int64_t bytes[4])
{
    static const int names[4] = { 0, _SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE };
    static const int64_t usual[4] = { 0, 32 << 10, 512 << 10, 4 << 20 };
    char line[32];

    for (int index = 0; index < 8; index++) {
        int64_t level;
        if (!cache_fact(index, "type", line) || line[0] == 'I')
            continue;
        level = cache_fact(index, "level", line) ? strtol(line, NULL, 10) : 0;
        if (level >= 1 && level <= 3 && cache_fact(index, "size", line))
            bytes[level] = size_of(line);
    }
    for (int level = 1; level <= 3; level++) {
        if (bytes[level] <= 0)
            bytes[level] = sysconf(names[level]);
        if (bytes[level] <= 0)
            bytes[level] = usual[level];
    }
}

int machine_detect(struct machine *out)
{
    struct machine m = { .isa = detect_isa(), .threads = parallel_threads() };
    int64_t bytes[4] = { 0 };

    TRY(cap_isa(&m.isa));
    detect_caches(bytes);
    m.l1_bytes = bytes[1];
    m.l2_bytes = bytes[2];
    m.l3_bytes = bytes[3];
#ifdef PLAIT_HAVE_ONEDNN
    m.onednn = true;
#endif
    *out = m;
    return OK;
}
