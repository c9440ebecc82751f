/* assign -- the last pass: a kernel for every node, a life for every value, an address in the program's
 * arena. Values that take over other values' storage share one interval. */
#include <string.h>

#include "base/err.h"
#include "comm/kernels.h"
#include "cpu/kernels.h"
#include "plan/memory.h"
#include "plan/plan.h"

struct life {
    int owner;       /* tensor id whose interval this tensor lies in; -1: not in an arena */
    int first, last; /* of an owner */
};

static const struct kernel *choose(const struct node *n, const struct machine *m, struct str *why)
{
    const struct kernel *k = kernel_choose(cpu_kernel_table(m->isa), n, m, why);

    return k ? k : kernel_choose(comm_kernels, n, m, why);
}

static int choose_kernels(struct plan *p, const struct machine *m)
{
    const struct graph *g = p->graph;

    p->kernels = mem_alloc_array(g->node_count + 1, sizeof(p->kernels[0]));
    p->workspace = mem_alloc_array(g->node_count + 1, sizeof(p->workspace[0]));
    for (size_t k = 0; k < g->node_count; k++) {
        struct str why;
        str_init(&why);
        p->kernels[k] = choose(g->nodes[k], m, &why);
        if (!p->kernels[k])
            fail(ERR_INTERNAL, "%s: no kernel for op %s (%s)", g->nodes[k]->scope, g->nodes[k]->op->name,
                 why.data);
        str_release(&why);
        if (!p->kernels[k])
            return ERR_INTERNAL;
    }
    return OK;
}

/* ---- Lives ---- */

static void find_last_reads(const struct graph *g, struct life *life)
{
    for (size_t k = 0; k < g->node_count; k++) {
        const struct node *n = g->nodes[k];
        for (int j = 0; j < n->nout; j++) {
            if (!n->out[j])
                continue;
            life[n->out[j]->id].first = life[n->out[j]->id].last = (int)k;
        }
        for (int i = 0; i < n->nin; i++)
            if (n->in[i])
                life[n->in[i]->id].last = (int)k;
    }
}

static int program_of(const struct plan *p, int place)
{
    return place >= p->program[PROGRAM_UPDATE].first && place < p->program[PROGRAM_UPDATE].end
               ? PROGRAM_UPDATE
               : PROGRAM_MICROBATCH;
}

static void join(struct life *life, int id, int owner)
{
    life[id].owner = owner;
    if (life[id].last > life[owner].last)
        life[owner].last = life[id].last;
}

/* The input whose storage output j may take: made in the arena, read here for the last time, as large. */
static const struct tensor *overwritable(const struct node *n, int j, const struct life *life,
                                         const struct mesh *mesh)
{
    const struct tensor *in = n->op->in_place[j] ? n->in[n->op->in_place[j] - 1] : NULL;

    if (!in || life[in->id].owner < 0 || life[life[in->id].owner].last != n->id || n->out[j]->into)
        return NULL;
    for (int i = 0; i < n->nin; i++) /* not when it is read a second time by this node */
        if (i != n->op->in_place[j] - 1 && n->in[i] && life[n->in[i]->id].owner == life[in->id].owner)
            return NULL;
    return tensor_local_bytes(in, mesh) == tensor_local_bytes(n->out[j], mesh) ? in : NULL;
}

static void find_owners(const struct plan *p, struct life *life)
{
    const struct graph *g = p->graph;

    for (size_t i = 0; i < g->tensor_count; i++)
        life[i].owner = -1;
    for (size_t k = 0; k < g->node_count; k++) {
        const struct node *n = g->nodes[k];
        for (int j = 0; j < n->nout; j++) {
            struct tensor *t = n->out[j];
            const struct tensor *in;
            if (!t || tensor_storage(t)->kind != TENSOR_VALUE)
                continue;
            in = t->into ? t->into : n->op->alias ? n->in[0] : overwritable(n, j, life, &p->mesh);
            life[t->id].owner = t->id;
            if (in)
                join(life, t->id, life[in->id].owner);
        }
    }
}

static void check_programs(const struct plan *p, const struct life *life)
{
    for (size_t i = 0; i < p->graph->tensor_count; i++)
        if (life[i].owner == (int)i && program_of(p, life[i].first) != program_of(p, life[i].last))
            BUG("a value made in one program is read in another");
}

/* ---- Offsets ---- */

struct packing {
    struct interval *intervals;
    int *tensor, *node; /* what an interval is for: one of them is >= 0 */
    size_t count;
};

static void add_interval(struct packing *s, int tensor, int node, int64_t bytes, int first, int last)
{
    s->intervals[s->count] = (struct interval){ .bytes = bytes, .first = first, .last = last };
    s->tensor[s->count] = tensor;
    s->node[s->count++] = node;
}

static void pack_program(struct plan *p, int which, const struct life *life, const struct machine *m)
{
    const struct graph *g = p->graph;
    struct plan_program *program = &p->program[which];
    size_t most = g->tensor_count + g->node_count + 1;
    struct packing s = { .intervals = mem_alloc_array(most, sizeof(struct interval)),
                         .tensor = mem_alloc_array(most, sizeof(int)),
                         .node = mem_alloc_array(most, sizeof(int)) };

    for (size_t i = 0; i < g->tensor_count; i++)
        if (life[i].owner == (int)i && life[i].first >= program->first && life[i].first < program->end)
            add_interval(&s, (int)i, -1, tensor_local_bytes(g->tensors[i], &p->mesh), life[i].first,
                         life[i].last);
    for (int k = program->first; k < program->end; k++)
        if (p->kernels[k]->workspace)
            add_interval(&s, -1, k, p->kernels[k]->workspace(g->nodes[k], &p->mesh, m), k, k);
    program->arena_bytes = memory_assign(s.intervals, s.count, &program->live_bytes);
    for (size_t i = 0; i < s.count; i++) {
        if (s.tensor[i] >= 0)
            p->offset[s.tensor[i]] = s.intervals[i].offset;
        else
            p->workspace[s.node[i]] = s.intervals[i].offset;
    }
    mem_free(s.intervals);
    mem_free(s.tensor);
    mem_free(s.node);
}

static void count_bytes(struct plan *p)
{
    for (size_t i = 0; i < p->graph->tensor_count; i++) {
        const struct tensor *t = p->graph->tensors[i];
        int64_t bytes = tensor_local_bytes(t, &p->mesh);
        if (t->producer || t->into)
            continue;
        if (t->kind == TENSOR_PARAM)
            p->param_bytes += bytes;
        else if (t->kind == TENSOR_STATE)
            p->state_bytes += bytes;
        else if (t->kind == TENSOR_GRAD)
            p->grad_bytes += bytes;
        else if (t->kind == TENSOR_INPUT)
            p->input_bytes += bytes;
    }
}

int plan_assign(struct plan *p, const struct machine *machine, struct tensor *const outputs[], int count)
{
    const struct graph *g = p->graph;
    struct life *life;

    TRY(choose_kernels(p, machine));
    life = mem_alloc_array(g->tensor_count + 1, sizeof(life[0]));
    p->offset = mem_alloc_array(g->tensor_count + 1, sizeof(p->offset[0]));
    memset(p->offset, -1, (g->tensor_count + 1) * sizeof(p->offset[0]));
    find_last_reads(g, life);
    for (int i = 0; i < count; i++)
        if (outputs[i] && outputs[i]->producer)
            life[outputs[i]->id].last = p->program[program_of(p, outputs[i]->producer->id)].end - 1;
    find_owners(p, life);
    check_programs(p, life);
    for (int which = 0; which < PROGRAM_COUNT; which++)
        pack_program(p, which, life, machine);
    for (size_t i = 0; i < g->tensor_count; i++)
        if (life[i].owner >= 0)
            p->offset[i] = p->offset[life[i].owner];
    count_bytes(p);
    mem_free(life);
    return OK;
}
