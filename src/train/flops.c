#include "train/flops.h"

#include <stdio.h>
#include <string.h>

/* A table of rows that are only looked up takes part in no product. */
static bool multiplies(const struct node *n)
{
    return n->op != &op_embedding && n->op != &op_embedding_grad && n->op->cost;
}

double flops_row(const struct plan *p, const struct model_sizes *sizes, int64_t T)
{
    const struct graph *g = p->whole ? p->whole : p->graph; /* of all stages */
    bool *counted = mem_alloc_array(g->tensor_count + 1, sizeof(counted[0]));
    double weights = 0;

    for (size_t k = 0; k < g->node_count; k++) {
        const struct node *n = g->nodes[k];
        for (int i = 0; n->unit != UNIT_UPDATE && multiplies(n) && i < n->nin; i++) {
            const struct tensor *t = n->in[i];
            if (!t || t->kind != TENSOR_PARAM || t->param->file_ndim < 2 || counted[t->id])
                continue;
            counted[t->id] = true;
            weights += (double)tensor_count(t);
        }
    }
    mem_free(counted);
    return 6 * weights + 6.0 * (double)sizes->layers * (double)sizes->width * (double)T;
}

/* The highest "cpu MHz" of /proc/cpuinfo; 0 when there is none. */
static double clock_hertz(void)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    char line[512];
    double most = 0, v;

    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "cpu MHz%*[ \t:]%lf", &v) == 1 && v > most)
            most = v;
    fclose(f);
    return most * 1e6;
}

double flops_peak(const struct machine *m, int threads)
{
    static const double a_cycle[ISA_COUNT] = { [ISA_BASE] = 8, [ISA_AVX2] = 32, [ISA_AVX512] = 64 };

    return a_cycle[m->isa] * clock_hertz() * threads;
}
