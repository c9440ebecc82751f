#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#endif
#include "lib/simd_cases.h"

int main(void)
{
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return 77; /* skipped */
#endif
    return run_simd_cases();
}
