#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")
#endif
#include "lib/simd_cases.h"

int main(void)
{
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq"))
        return 77; /* skipped */
#endif
    return run_simd_cases();
}
