/* assign -- the last pass: a kernel for every node, a life for every value, an address in the program's
 * arena. Values that take over other values' storage share one interval. */
#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "comm/kernels.h"
#include "cpu/kernels.h"
#include "ops/ops.h"
#include "plan/memory.h"
#include "plan/plan.h"

struct life {
    int owner;       /* tensor id whose interval this tensor lies in; -1: not in an arena */
    int first, last; /* of an owner */
    int64_t bytes;
    enum region region;
    int chunk; /* of a slot */
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

/* The part that a place belongs to, as chunk * PART_COUNT + part; -1: none. */
static int part_at(const struct plan *p, int place)
{
    for (int i = 0; i < p->chunks * PART_COUNT; i++) {
        const struct plan_chunk *c = &p->chunk[i / PART_COUNT];
        if (place >= c->part[i % PART_COUNT].first && place < c->part[i % PART_COUNT].end)
            return i;
    }
    return -1;
}

/* One microbatch at a time: no slots are needed. */
static bool is_one_slot(const struct plan *p)
{
    return p->chunks == 0 || (p->chunks == 1 && !p->schedule->split && p->chunk[0].f_slots <= 1);
}

/* The nodes of a chunk, without those of weight gradients that are put off: [first, end). */
static void find_span(const struct plan_chunk *c, int *first, int *end)
{
    *first = INT_MAX;
    *end = 0;
    for (int part = 0; part < PART_WEIGHT; part++) {
        if (c->part[part].end > 0 && c->part[part].first < *first)
            *first = c->part[part].first;
        if (c->part[part].end > *end)
            *end = c->part[part].end;
    }
}

/* What is received may come, and what is sent may be read, as long as the microbatch has its F-slot. */
static void widen_transfers(const struct plan *p, struct life *life)
{
    for (int k = 0; p->chunks && k < p->program[PROGRAM_MICROBATCH].end; k++) {
        const struct node *n = p->graph->nodes[k];
        int first, end, owner;
        if (n->op != &op_receive && n->op != &op_send)
            continue;
        find_span(&p->chunk[n->stage / p->schedule->options.ranks], &first, &end);
        owner = life[n->op == &op_send ? n->in[0]->id : n->out[0]->id].owner;
        if (n->op == &op_receive)
            life[owner].first = first;
        else if (owner >= 0 && life[owner].last < end - 1)
            life[owner].last = end - 1;
    }
}

/* What lives from one part to another lies in a slot. */
static void find_regions(const struct plan *p, struct life *life)
{
    for (size_t i = 0; i < p->graph->tensor_count; i++) {
        struct life *l = &life[i];
        int first, last;
        if (l->owner != (int)i || program_of(p, l->first) == PROGRAM_UPDATE || is_one_slot(p))
            continue;
        first = part_at(p, l->first);
        last = part_at(p, l->last);
        if (first == last)
            continue;
        l->region = last % PART_COUNT == PART_WEIGHT ? REGION_W_SLOT : REGION_F_SLOT;
        l->chunk = first / PART_COUNT;
    }
}

static void join(struct life *life, int id, int owner)
{
    life[id].owner = owner;
    if (life[id].last > life[owner].last)
        life[owner].last = life[id].last;
    if (life[id].bytes > life[owner].bytes)
        life[owner].bytes = life[id].bytes;
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

/* Also the room for the padding of what is dealt out. */
static void find_bytes(const struct plan *p, struct life *life)
{
    const struct graph *g = p->graph;
    const struct tensor *t;
    int64_t bytes;

    for (size_t i = 0; i < g->tensor_count; i++)
        life[i].bytes = tensor_local_bytes(g->tensors[i], &p->mesh);
    for (size_t k = 0; k < g->node_count; k++) {
        t = collective_whole(g->nodes[k], &p->mesh, &bytes);
        if (t && bytes > life[t->id].bytes)
            life[t->id].bytes = bytes;
    }
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
    struct plan *p;
    const struct life *life;
    const struct machine *machine;
    struct interval *intervals;
    int *tensor, *node; /* what an interval is for: one of them is >= 0 */
    size_t count;
};

static void packing_init(struct packing *s, struct plan *p, const struct life *life, const struct machine *m)
{
    size_t most = p->graph->tensor_count + p->graph->node_count + 1;

    *s = (struct packing){ .p = p, .life = life, .machine = m };
    s->intervals = mem_alloc_array(most, sizeof(struct interval));
    s->tensor = mem_alloc_array(most, sizeof(int));
    s->node = mem_alloc_array(most, sizeof(int));
}

static void packing_release(struct packing *s)
{
    mem_free(s->intervals);
    mem_free(s->tensor);
    mem_free(s->node);
}

static void add_interval(struct packing *s, int tensor, int node, int64_t bytes, int first, int last)
{
    s->intervals[s->count] = (struct interval){ .bytes = bytes, .first = first, .last = last };
    s->tensor[s->count] = tensor;
    s->node[s->count++] = node;
}

/* Gives offsets from `base` on to what has been added; returns the bytes. */
static int64_t pack(struct packing *s, int64_t base, int64_t *live)
{
    struct plan *p = s->p;
    int64_t bytes = memory_assign(s->intervals, s->count, live);

    for (size_t i = 0; i < s->count; i++) {
        if (s->tensor[i] >= 0)
            p->offset[s->tensor[i]] = base + s->intervals[i].offset;
        else
            p->workspace[s->node[i]] = base + s->intervals[i].offset;
    }
    s->count = 0;
    return bytes;
}

static void add_value(struct packing *s, size_t i)
{
    const struct life *l = &s->life[i];

    add_interval(s, (int)i, -1, l->bytes, l->first, l->last);
}

static int64_t pack_slot(struct packing *s, int chunk, enum region region, int64_t *live)
{
    for (size_t i = 0; i < s->p->graph->tensor_count; i++)
        if (s->life[i].owner == (int)i && s->life[i].region == region && s->life[i].chunk == chunk)
            add_value(s, i);
    return pack(s, 0, live);
}

/* The values of nodes first..end-1 that lie in the arena, and workspaces. */
static int64_t pack_nodes(struct packing *s, int first, int end, int64_t base, int64_t *live)
{
    struct plan *p = s->p;

    for (size_t i = 0; i < p->graph->tensor_count; i++) {
        const struct life *l = &s->life[i];
        if (l->owner == (int)i && l->region == REGION_ARENA && l->first >= first && l->first < end)
            add_value(s, i);
    }
    for (int k = first; k < end; k++) {
        const struct node *n = p->graph->nodes[k];
        if (p->kernels[k]->workspace)
            add_interval(s, -1, k, p->kernels[k]->workspace(n, &p->mesh, s->machine), k,
                         n->wait ? n->wait->id : k);
    }
    return pack(s, base, live);
}

static void pack_slots(struct packing *s, struct plan_program *program, int chunk)
{
    struct plan_chunk *c = &s->p->chunk[chunk];
    int64_t live;

    c->f_base = program->arena_bytes;
    c->f_bytes = pack_slot(s, chunk, REGION_F_SLOT, &live);
    program->live_bytes += live * c->f_slots;
    c->w_base = c->f_base + c->f_bytes * c->f_slots;
    c->w_bytes = pack_slot(s, chunk, REGION_W_SLOT, &live);
    program->live_bytes += live * c->w_slots;
    program->arena_bytes = c->w_base + c->w_bytes * c->w_slots;
}

/* The slots of all chunks stand before what lives within one part, which all parts share. */
static void pack_parts(struct packing *s, struct plan_program *program)
{
    int64_t most = 0, most_live = 0, live;

    for (int i = 0; i < s->p->chunks; i++)
        pack_slots(s, program, i);
    for (int i = 0; i < s->p->chunks * PART_COUNT; i++) {
        const struct plan_chunk *c = &s->p->chunk[i / PART_COUNT];
        int first = c->part[i % PART_COUNT].first, end = c->part[i % PART_COUNT].end;
        int64_t bytes = pack_nodes(s, first, end, program->arena_bytes, &live);
        most = bytes > most ? bytes : most;
        most_live = live > most_live ? live : most_live;
    }
    program->arena_bytes += most;
    program->live_bytes += most_live;
}

static void pack_program(struct plan *p, int which, const struct life *life, const struct machine *m)
{
    struct plan_program *program = &p->program[which];
    struct packing s;

    packing_init(&s, p, life, m);
    if (which == PROGRAM_MICROBATCH && !is_one_slot(p))
        pack_parts(&s, program);
    else
        program->arena_bytes = pack_nodes(&s, program->first, program->end, 0, &program->live_bytes);
    packing_release(&s);
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
            p->grad_bytes += tensor_room(t, &p->mesh);
        else if (t->kind == TENSOR_INPUT)
            p->input_bytes += (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
    }
    p->input_slots = 1;
    for (int i = 0; i < p->chunks; i++) {
        int slots = p->chunk[i].w_slots > p->chunk[i].f_slots ? p->chunk[i].w_slots : p->chunk[i].f_slots;
        p->input_slots = slots > p->input_slots ? slots : p->input_slots;
    }
    p->input_bytes *= p->input_slots;
}

int plan_assign(struct plan *p, const struct machine *machine, struct tensor *const outputs[], int count)
{
    const struct graph *g = p->graph;
    struct life *life;

    TRY(choose_kernels(p, machine));
    life = mem_alloc_array(g->tensor_count + 1, sizeof(life[0]));
    p->offset = mem_alloc_array(g->tensor_count + 1, sizeof(p->offset[0]));
    p->region = mem_alloc_array(g->tensor_count + 1, sizeof(p->region[0]));
    memset(p->offset, -1, (g->tensor_count + 1) * sizeof(p->offset[0]));
    find_last_reads(g, life);
    for (int i = 0; i < count; i++)
        if (outputs[i] && outputs[i]->producer)
            life[outputs[i]->id].last = p->program[program_of(p, outputs[i]->producer->id)].end - 1;
    find_bytes(p, life);
    find_owners(p, life);
    widen_transfers(p, life);
    check_programs(p, life);
    find_regions(p, life);
    for (int which = 0; which < PROGRAM_COUNT; which++)
        pack_program(p, which, life, machine);
    for (size_t i = 0; i < g->tensor_count; i++) {
        if (life[i].owner < 0)
            continue;
        p->offset[i] = p->offset[life[i].owner];
        p->region[i] = (uint8_t)life[life[i].owner].region;
    }
    count_bytes(p);
    mem_free(life);
    return OK;
}
