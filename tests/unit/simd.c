#include "lib/simd_cases.h"

int main(void)
{
    return run_simd_cases();
}
