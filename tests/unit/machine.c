/* The description of this machine, and the environment's cap on its instruction set. */
#include "cpu/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/parallel.h"
#include "cpu/kernels.h"

static void facts_are_sane(void **state)
{
    struct machine m;

    unsetenv("PLAIT_ISA");
    parallel_set_threads(3);
    assert_int_equal(machine_detect(&m), OK);
    assert_int_equal(m.threads, 3);
    assert_true(m.l1_bytes >= 4096 && m.l1_bytes <= m.l2_bytes && m.l2_bytes <= 1 << 30);
    assert_true(m.l3_bytes >= 0 && m.isa >= ISA_BASE && m.isa < ISA_COUNT);
#if defined(__x86_64__)
    assert_int_equal(m.isa >= ISA_AVX2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal(m.isa == ISA_AVX512,
                     __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"));
#endif
}

static void environment_caps_the_isa(void **state)
{
    struct machine plain, m;

    unsetenv("PLAIT_ISA");
    assert_int_equal(machine_detect(&plain), OK);
    for (int i = 0; i < ISA_COUNT; i++) {
        setenv("PLAIT_ISA", isa_name((enum isa)i), 1);
        assert_int_equal(machine_detect(&m), OK);
        assert_int_equal(m.isa, i < (int)plain.isa ? i : (int)plain.isa);
    }
    setenv("PLAIT_ISA", "", 1);
    assert_int_equal(machine_detect(&m), OK);
    assert_int_equal(m.isa, plain.isa);
    setenv("PLAIT_ISA", "AVX2", 1);
    m.threads = -7;
    assert_int_equal(machine_detect(&m), ERR_CONFIG);
    assert_int_equal(m.threads, -7);
    assert_string_equal(error_message(),
                        "PLAIT_ISA: no such instruction set (found \"AVX2\", expected base, avx2 or avx512)");
    error_clear();
    unsetenv("PLAIT_ISA");
}

/* The head's reference keeps no logits, which are in an order of a kernel's own. */
static bool may_refuse(int op)
{
    return op == OP_head_stats || op == OP_head_grad;
}

/* Every op but the collectives has a list that ends with a reference that refuses nothing. */
static void every_op_has_a_reference(void **state)
{
    for (int isa = 0; isa < ISA_COUNT; isa++) {
        const struct kernel *const *table = cpu_kernel_table((enum isa)isa);
        for (int op = 0; op < OP_all_reduce; op++) {
            const struct kernel *k = table[op];
            assert_non_null(k);
            assert_non_null(k->name);
            while (k[1].name)
                k++;
            assert_string_equal(k->name, "reference");
            assert_true(k->run && (!k->refuses || may_refuse(op)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_sane),
        cmocka_unit_test(environment_caps_the_isa),
        cmocka_unit_test(every_op_has_a_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
