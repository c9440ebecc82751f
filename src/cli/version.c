#include "base/err.h"
#include "base/parallel.h"
#include "cli/cli.h"
#include "comm/world.h"
#include "cpu/kernels.h"
#include "cpu/machine.h"
#include "data/unpack.h"

int version_print(struct str *out)
{
    struct machine m;

    TRY(machine_detect(&m));
    str_append(out, "plait " PLAIT_BUILD_VERSION "\ninstruction sets: base");
    for (int i = ISA_BASE + 1; i < ISA_COUNT; i++)
        if (cpu_kernel_table((enum isa)i) != cpu_kernel_table(ISA_BASE))
            str_appendf(out, ", %s", isa_name((enum isa)i));
    str_appendf(out, "; in use: %s\nthreads: %d\n", isa_name(m.isa), m.threads);
    if (m.onednn)
        str_append(out, "oneDNN: present\n");
    else
        str_append(out, "oneDNN: absent, version 3 was not found or not wanted when plait was built; "
                        "plait's own kernels multiply matrices\n");
    for (int i = PACKING_NONE + 1; i < PACKING_COUNT; i++)
        str_appendf(out, "%s: %s\n", packing_names[i],
                    packing_is_built((enum packing)i) ? "present" : "absent, its library was not found");
    world_describe(out);
    str_append(out, "CUDA: absent, this version has no module for it; models run on the CPU\n");
    return OK;
}
