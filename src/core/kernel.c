#include "core/kernel.h"

const struct kernel *kernel_choose(const struct kernel *const table[], const struct node *n,
                                   const struct machine *m, struct str *why)
{
    for (const struct kernel *k = table[op_find(n->op)]; k && k->name; k++) {
        const char *reason = k->refuses ? k->refuses(n, m) : NULL;
        if (!reason)
            return k;
        if (why)
            str_appendf(why, "%s%s: %s", why->length > 0 ? "; " : "", k->name, reason);
    }
    return NULL;
}
