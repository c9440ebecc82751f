#include "exec/exec_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "comm/comm.h"
#include "exec/store_internal.h"
#include "ops/ops.h"

/* ---- Binding ---- */

static void set_dims(const struct executor *e, const struct tensor *t, struct view *v)
{
    v->dtype = t->dtype;
    v->ndim = t->ndim;
    for (int d = 0; d < t->ndim; d++) {
        int64_t capacity = tensor_local_dim(t, d, &e->plan->mesh);
        v->whole[d] = t->dims[d].size;
        v->first[d] = tensor_first(t, d, &e->plan->mesh, e->rank);
        v->dim[d] = capacity;
        if (t->dims[d].count == COUNT_FIXED)
            continue;
        v->whole[d] = e->counts.of[t->dims[d].count];
        v->dim[d] = v->whole[d] - v->first[d];
        if (v->dim[d] > capacity)
            v->dim[d] = capacity;
        if (v->dim[d] < 0)
            v->dim[d] = 0;
    }
}

static bool is_kept_elsewhere(const struct executor *e, const struct tensor *t)
{
    enum axis axis = (enum axis)t->producer->attr[0];

    return mesh_coordinate(&e->plan->mesh, e->rank, axis) != 0;
}

static int64_t region_base(const struct executor *e, const struct tensor *t)
{
    const struct plan_chunk *c = e->plan->chunks ? &e->plan->chunk[e->slots.chunk] : NULL;

    switch ((enum region)e->plan->region[t->id]) {
    case REGION_F_SLOT: return c->f_base + e->slots.f * c->f_bytes;
    case REGION_W_SLOT: return c->w_base + e->slots.w * c->w_bytes;
    default: return 0;
    }
}

static void *address(const struct executor *e, struct tensor *t)
{
    if (t->producer && t->producer->op->alias)
        return is_kept_elsewhere(e, t) ? NULL : e->tensors[t->producer->in[0]->id].data;
    if (t->into)
        return e->tensors[t->into->id].data;
    if (t->kind == TENSOR_VALUE)
        return e->plan->offset[t->id] < 0 ? NULL : e->arena + region_base(e, t) + e->plan->offset[t->id];
    return e->tensors[t->id].data; /* bound before */
}

static int bind_stored(struct executor *e)
{
    const struct graph *g = e->plan->graph;
    int64_t input_at = 0;

    for (size_t i = 0; i < g->tensor_count; i++) {
        struct tensor *t = g->tensors[i];
        struct stored *s;
        if (t->producer || t->kind == TENSOR_VALUE)
            continue;
        if (t->kind == TENSOR_INPUT) {
            e->tensors[i].data = e->inputs + input_at;
            e->input_at[i] = input_at;
            input_at += (tensor_local_bytes(t, &e->plan->mesh) + 63) / 64 * 64;
            if (t->constant)
                memcpy(e->tensors[i].data, t->constant, (size_t)tensor_bytes(t));
            continue;
        }
        TRY(store_bind(e->store, t, &e->plan->mesh, e->rank, &s));
        e->tensors[i].data = s->data;
    }
    return OK;
}

/* Views of a node's inputs and outputs, copied from the tensors' (kernels want them side by side). */
static void fill_views(const struct executor *e, const struct node *n)
{
    struct kernel_args *a = &e->args[n->id];

    for (int i = 0; i < n->nin; i++)
        if (n->in[i])
            ((struct view *)a->in)[i] = e->tensors[n->in[i]->id];
    for (int j = 0; j < n->nout; j++)
        if (n->out[j])
            ((struct view *)a->out)[j] = e->tensors[n->out[j]->id];
}

static void bind_outputs(struct executor *e, const struct node *n)
{
    for (int j = 0; j < n->nout; j++)
        if (n->out[j])
            e->tensors[n->out[j]->id].data = address(e, n->out[j]);
}

static void bind_node(struct executor *e, const struct node *n)
{
    struct kernel_args *a = &e->args[n->id];

    a->node = n;
    a->in = arena_alloc(&e->memory, (size_t)n->nin * sizeof(struct view) + 1);
    a->out = arena_alloc(&e->memory, MAX_OUTPUTS * sizeof(struct view));
    a->add = arena_alloc(&e->memory, MAX_OUTPUTS * sizeof(bool));
    a->workspace = e->arena + e->plan->workspace[n->id];
    a->counts = &e->counts;
    a->comm = e->comm;
    if (n->wait) {
        a->request = arena_alloc(&e->memory, sizeof(*a->request));
        e->args[n->wait->id].started = a;
    }
    bind_outputs(e, n);
}

static void refresh_views(struct executor *e)
{
    const struct graph *g = e->plan->graph;

    for (size_t i = 0; i < g->tensor_count; i++)
        set_dims(e, g->tensors[i], &e->tensors[i]);
    for (size_t k = 0; k < g->node_count; k++)
        fill_views(e, g->nodes[k]);
}

/* An input slot for each slot of the kind that a microbatch keeps longest. */
static int64_t input_base(const struct executor *e)
{
    int slot = e->plan->chunks && e->plan->schedule->split ? e->slots.w : e->slots.f;

    return slot > 0 ? e->input_bytes / e->plan->input_slots * slot : 0;
}

void executor_bind(struct executor *e, const struct slots *slots, const struct run_counts *counts)
{
    const struct graph *g = e->plan->graph;
    bool same = memcmp(&e->counts, counts, sizeof(*counts)) == 0;

    if (same && memcmp(&e->slots, slots, sizeof(*slots)) == 0)
        return;
    e->slots = *slots;
    e->counts = *counts;
    for (size_t i = 0; i < g->tensor_count; i++)
        if (g->tensors[i]->kind == TENSOR_INPUT && !g->tensors[i]->constant)
            e->tensors[i].data = e->inputs + input_base(e) + e->input_at[i];
    for (int k = 0; k < e->plan->program[PROGRAM_MICROBATCH].end; k++)
        bind_outputs(e, g->nodes[k]);
    refresh_views(e);
}

static int take_memory(struct executor *e)
{
    const struct plan *p = e->plan;

    for (int i = 0; i < PROGRAM_COUNT; i++)
        if (p->program[i].arena_bytes > e->arena_bytes)
            e->arena_bytes = p->program[i].arena_bytes;
    e->input_bytes = p->input_bytes + 64 * p->input_slots;
    e->arena = mem_map((size_t)e->arena_bytes + 64);
    e->inputs = mem_map((size_t)e->input_bytes);
    if (!e->arena || !e->inputs)
        return fail(ERR_SYSTEM, "activations: no memory (asked for %" PRId64 " bytes, %" PRIu64 " available)",
                    e->arena_bytes, mem_available());
    return OK;
}

int executor_create(const struct plan *plan, struct store *store, struct comm *comm, int rank,
                    struct executor **out)
{
    const struct graph *g = plan->graph;
    struct executor *e = mem_alloc(sizeof(*e));
    int status;

    e->plan = plan;
    e->store = store;
    e->comm = comm;
    e->rank = rank;
    arena_init(&e->memory);
    e->tensors = mem_alloc_array(g->tensor_count + 1, sizeof(e->tensors[0]));
    e->args = mem_alloc_array(g->node_count + 1, sizeof(e->args[0]));
    e->written = mem_alloc_array(g->tensor_count + 1, sizeof(bool));
    e->input_at = mem_alloc_array(g->tensor_count + 1, sizeof(e->input_at[0]));
    e->seconds = mem_alloc_array(OP_COUNT, sizeof(e->seconds[0]));
    e->calls = mem_alloc_array(OP_COUNT, sizeof(e->calls[0]));
    status = take_memory(e);
    if (status == OK)
        status = bind_stored(e);
    if (status != OK) {
        executor_free(e);
        return status;
    }
    for (size_t k = 0; k < g->node_count; k++)
        bind_node(e, g->nodes[k]);
    refresh_views(e);
    if (plan->chunks)
        status = pipeline_create(e, &e->pipeline);
    if (status == OK)
        *out = e;
    else
        executor_free(e);
    return status;
}

/* After a failure: what was started reads and writes this executor's memory. */
static void end_transfers(struct executor *e)
{
    for (size_t k = 0; k < e->plan->graph->node_count; k++) {
        struct request *r = e->args[k].request;
        if (!r || !request_is_begun(r))
            continue;
        comm_break(e->comm, ERR_INTERNAL);
        comm_wait(e->comm, r);
    }
}

void executor_free(struct executor *e)
{
    if (!e)
        return;
    end_transfers(e);
    mem_unmap(e->arena, (size_t)e->arena_bytes + 64);
    mem_unmap(e->inputs, (size_t)e->input_bytes);
    arena_release(&e->memory);
    mem_free(e->tensors);
    mem_free(e->args);
    mem_free(e->written);
    mem_free(e->input_at);
    pipeline_free(e->pipeline);
    mem_free(e->seconds);
    mem_free(e->calls);
    mem_free(e);
}

/* ---- Inputs ---- */

void *executor_input(struct executor *e, const char *name)
{
    char own[64];
    const struct tensor *t;

    if (e->slots.chunk > 0) { /* each chunk has its own */
        snprintf(own, sizeof(own), "%s@%d", name, e->slots.chunk);
        name = own;
    }
    t = graph_find(e->plan->graph, name, TENSOR_INPUT);
    return t ? e->tensors[t->id].data : NULL;
}

static void copy_input(struct executor *e, const char *name, const void *data, int64_t count, size_t bytes)
{
    void *to = executor_input(e, name);

    if (to && count > 0)
        memcpy(to, data, (size_t)count * bytes);
}

static void copy_rows(struct executor *e, const char *prefix, const struct row_block *r, int64_t sequences)
{
    const struct {
        const char *name;
        const void *data;
        int64_t count;
        size_t bytes;
    } arrays[] = {
        { "ids", r->ids, r->count, sizeof(r->ids[0]) },
        { "positions", r->positions, r->count, sizeof(r->positions[0]) },
        { "order", r->order, r->count, sizeof(r->order[0]) },
        { "key_order", r->key_order, r->count, sizeof(r->key_order[0]) },
        { "token_types", r->token_types, r->count, sizeof(r->token_types[0]) },
        { "place", r->place, r->count, sizeof(r->place[0]) },
        { "offsets", r->offsets, sequences + 1, sizeof(r->offsets[0]) },
    };
    char name[40];

    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", prefix, arrays[i].name);
        copy_input(e, name, arrays[i].data, arrays[i].count, arrays[i].bytes);
    }
}

/* For each row the largest position id of its sequence, plus 1; or what the batch says. */
static void set_longest(struct executor *e, const struct row_block *r, int64_t sequences)
{
    int32_t *longest = executor_input(e, "longest"), most;

    for (int64_t s = 0; longest && s < sequences; s++) {
        most = r->longest;
        for (int64_t i = r->offsets[s]; i < r->offsets[s + 1]; i++)
            most = r->positions[i] >= most ? r->positions[i] + 1 : most;
        for (int64_t i = r->offsets[s]; i < r->offsets[s + 1]; i++)
            longest[i] = most;
    }
}

struct run_counts executor_copy_batch(struct executor *e, const struct batch *b)
{
    struct run_counts counts = { 0 };

    copy_rows(e, "", &b->rows, b->sequences);
    copy_rows(e, "encoder_", &b->encoder, b->sequences);
    set_longest(e, &b->rows, b->sequences);
    copy_input(e, "sequence_rows", b->sequence_rows, b->sequences, sizeof(int32_t));
    copy_input(e, "label_rows", b->label_rows, b->label_count, sizeof(int32_t));
    copy_input(e, "labels", b->labels, b->label_count, sizeof(int32_t));
    copy_input(e, "targets", b->targets, b->label_count * b->target_width, sizeof(float));
    counts.of[COUNT_ROWS] = b->rows.count;
    counts.of[COUNT_ENCODER_ROWS] = b->encoder.count;
    counts.of[COUNT_SEQUENCES] = b->sequences;
    counts.of[COUNT_OFFSETS] = b->sequences + 1;
    counts.of[COUNT_LABELS] = b->label_count;
    return counts;
}

void executor_set_batch(struct executor *e, const struct batch *b)
{
    struct run_counts counts = executor_copy_batch(e, b);

    executor_set_counts(e, &counts);
}

void executor_set_counts(struct executor *e, const struct run_counts *counts)
{
    if (memcmp(&e->counts, counts, sizeof(*counts)) == 0)
        return;
    e->counts = *counts;
    refresh_views(e);
}

/* ---- Running ---- */

static void run_node(struct executor *e, int k)
{
    double start = e->profiling ? clock_seconds() : 0;

    e->plan->kernels[k]->run(&e->args[k]);
    if (e->profiling) {
        enum op_id op = op_find(e->plan->graph->nodes[k]->op);
        e->seconds[op] += clock_seconds() - start;
        e->calls[op]++;
    }
}

/* Adds to what has been written in this step; the first writer of an accumulator stores. */
static bool adds(struct executor *e, const struct node *n, int j)
{
    const struct tensor *root;
    bool written;

    if (!n->accumulate[j])
        return false;
    root = tensor_storage(n->out[j]);
    written = e->written[root->id] || root->producer;
    e->written[root->id] = true;
    return written;
}

int executor_run_nodes(struct executor *e, int first, int end, const struct run_options *o)
{
    for (int k = first; k < end; k++) {
        const struct node *n = e->plan->graph->nodes[k];
        struct kernel_args *a = &e->args[k];
        if (n->last_only && !o->last_microbatch)
            continue;
        a->seed = o->seed;
        a->step = o->step;
        for (int j = 0; j < n->nout; j++)
            ((bool *)a->add)[j] = n->out[j] && adds(e, n, j);
        run_node(e, k);
        if (!e->comm)
            continue;
        comm_moved(e->comm);
        if (e->comm->status != OK)
            return e->comm->status;
    }
    return OK;
}

int executor_run(struct executor *e, enum program program, const struct run_options *o)
{
    const struct plan_program *p = &e->plan->program[program];

    if (o->first_microbatch)
        memset(e->written, 0, e->plan->graph->tensor_count * sizeof(bool));
    return executor_run_nodes(e, p->first, p->end, o);
}

struct view executor_view(const struct executor *e, const struct tensor *t)
{
    return e->tensors[t->id];
}

/* ---- Profile ---- */

void executor_profile(struct executor *e, bool on)
{
    e->profiling = on;
}

void executor_print_profile(const struct executor *e, struct str *out)
{
    double total = 0;

    for (int i = 0; i < OP_COUNT; i++)
        total += e->seconds[i];
    if (e->comm)
        str_appendf(out, "%-20s %8.3f s waited of %.3f s under way, %8" PRId64 " transfers\n",
                    "communication", e->comm->times.exposed, e->comm->times.busy, e->comm->times.count);
    for (int i = 0; i < OP_COUNT; i++)
        if (e->calls[i])
            str_appendf(out, "%-20s %8.3f s %5.1f %% %8" PRId64 " calls\n", op_table[i]->name, e->seconds[i],
                        100 * e->seconds[i] / (total > 0 ? total : 1), e->calls[i]);
}
