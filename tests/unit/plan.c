/* Compiled plans are run in thought: every node's reads and writes are followed byte range by byte range, and
 * no value may be touched between the node that makes it and the last that reads it. */
#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cpu/machine.h"
#include "models/config.h"
#include "ops/ops.h"

#include <cmocka.h>

struct thought {
    const struct plan *p;
    const struct machine *m;
    int program;
    bool *gone; /* [tensor]: made, and overwritten since */
    char what[128];
};

struct range {
    int64_t from, to;
};

static struct range range_of(const struct thought *s, const struct tensor *t)
{
    int64_t from = s->p->offset[t->id];

    return (struct range){ from, from < 0 ? from : from + tensor_local_bytes(t, &s->p->mesh) };
}

static bool overlap(struct range a, struct range b)
{
    return a.from >= 0 && b.from >= 0 && a.from < b.to && b.from < a.to;
}

static struct range workspace_of(const struct thought *s, int k)
{
    const struct kernel *kernel = s->p->kernels[k];
    int64_t from = s->p->workspace[k];

    if (!kernel->workspace)
        return (struct range){ -1, -1 };
    return (struct range){ from, from + kernel->workspace(s->p->graph->nodes[k], &s->p->mesh, s->m) };
}

/* All values made so far that lie there are gone, but `kept`. */
static void overwrite(struct thought *s, int place, struct range r, const struct tensor *kept)
{
    for (int k = s->p->program[s->program].first; k <= place; k++) {
        const struct node *n = s->p->graph->nodes[k];
        for (int j = 0; j < n->nout; j++)
            if (n->out[j] && n->out[j] != kept && overlap(range_of(s, n->out[j]), r))
                s->gone[n->out[j]->id] = true;
    }
}

static void read_inputs(const struct thought *s, const struct node *n)
{
    for (int i = 0; i < n->nin; i++) {
        const struct tensor *t = n->in[i];
        if (t && s->gone[t->id])
            fail_msg("%s: node %d (%s %s) reads input %d after it was overwritten", s->what, n->id,
                     n->op->name, n->scope, i);
        if (t && tensor_storage((struct tensor *)t)->kind == TENSOR_VALUE && s->p->offset[t->id] < 0)
            fail_msg("%s: node %d (%s) reads input %d, which has no place", s->what, n->id, n->op->name, i);
    }
}

static bool may_take_over(const struct node *n, int j, int i)
{
    return n->op->in_place[j] == i + 1 || n->op->alias || n->out[j]->into == n->in[i];
}

/* What was started before and is waited for later works in its workspace. */
static void leave_transfers_alone(const struct thought *s, const struct node *n)
{
    for (int k = s->p->program[s->program].first; k < n->id; k++) {
        const struct node *started = s->p->graph->nodes[k];
        struct range w = workspace_of(s, k);
        if (!started->wait || started->wait->id < n->id)
            continue;
        for (int j = 0; j < n->nout; j++)
            if (n->out[j] && n != started->wait && overlap(range_of(s, n->out[j]), w))
                fail_msg("%s: node %d (%s) writes where %d is under way", s->what, n->id, n->op->name, k);
        if (overlap(workspace_of(s, n->id), w))
            fail_msg("%s: node %d (%s) works where %d is under way", s->what, n->id, n->op->name, k);
    }
}

static void check_node(const struct thought *s, const struct node *n)
{
    struct range w = workspace_of(s, n->id);

    for (int j = 0; j < n->nout; j++) {
        struct range out = n->out[j] ? range_of(s, n->out[j]) : (struct range){ -1, -1 };
        if (out.to > s->p->program[s->program].arena_bytes || overlap(out, w))
            fail_msg("%s: node %d (%s): output %d lies in its workspace or beyond the arena", s->what, n->id,
                     n->op->name, j);
        for (int o = 0; o < j; o++)
            if (n->out[o] && overlap(range_of(s, n->out[o]), out))
                fail_msg("%s: node %d (%s): outputs %d and %d overlap", s->what, n->id, n->op->name, o, j);
        for (int i = 0; i < n->nin; i++)
            if (n->in[i] && overlap(range_of(s, n->in[i]), out) && !may_take_over(n, j, i))
                fail_msg("%s: node %d (%s): output %d lies in input %d", s->what, n->id, n->op->name, j, i);
    }
    for (int i = 0; i < n->nin; i++)
        if (n->in[i] && overlap(range_of(s, n->in[i]), w))
            fail_msg("%s: node %d (%s): input %d lies in its workspace", s->what, n->id, n->op->name, i);
    assert_true(w.to <= s->p->program[s->program].arena_bytes);
}

static void think(struct thought *s)
{
    const struct plan_program *program = &s->p->program[s->program];
    struct tensor *const outputs[] = { s->p->loss, s->p->logits, s->p->control };

    for (int k = program->first; k < program->end; k++) {
        const struct node *n = s->p->graph->nodes[k];
        assert_int_equal(n->id, k);
        read_inputs(s, n);
        check_node(s, n);
        leave_transfers_alone(s, n);
        overwrite(s, k, workspace_of(s, k), NULL);
        for (int j = 0; j < n->nout; j++)
            if (n->out[j] && !n->op->alias)
                overwrite(s, k, range_of(s, n->out[j]), n->out[j]);
    }
    for (int i = 0; i < 3; i++)
        if (outputs[i] && outputs[i]->producer->id >= program->first &&
            outputs[i]->producer->id < program->end && s->gone[outputs[i]->id])
            fail_msg("%s: output %d is overwritten", s->what, i);
    if ((double)program->arena_bytes > 1.1 * (double)program->live_bytes)
        fail_msg("%s: arena of %lld bytes, %lld are alive together", s->what, (long long)program->arena_bytes,
                 (long long)program->live_bytes);
}

static void check_plan(const struct config *c, const struct compile_options *o)
{
    static const char *const tasks[] = { "train", "eval", "forward", "gradient", "generate" };
    struct machine m;
    struct plan *p;
    struct thought s = { .m = &m };

    assert_int_equal(machine_detect(&m), OK);
    snprintf(s.what, sizeof(s.what), "%s on %d x %d, recompute %d", tasks[o->task], o->mesh.size[AXIS_DP],
             o->mesh.size[AXIS_TP], (int)o->recompute);
    if (plan_compile(c, o, &m, &p) != OK)
        fail_msg("%s: %s", s.what, error_message());
    s.p = p;
    s.gone = mem_alloc_array(p->graph->tensor_count, sizeof(s.gone[0]));
    for (s.program = 0; s.program < PROGRAM_COUNT; s.program++)
        think(&s);
    assert_true(plan_bytes(p) >= p->param_bytes + p->program[0].arena_bytes);
    mem_free(s.gone);
    plan_free(p);
}

static void load(struct config *c, const char *overrides)
{
    memset(c, 0, sizeof(*c));
    assert_int_equal(config_preset(c, "gpt2"), OK);
    assert_int_equal(config_override(c, overrides), OK);
}

static void no_value_is_overwritten(void **state)
{
    static const struct mesh meshes[] = {
        { .size = { 1, 1 } }, { .size = { 1, 2 } }, { .size = { 2, 2 } }, { .size = { 1, 3 } }
    };
    struct config c;

    load(&c, "n_layer=3,n_embd=48,n_head=4,n_positions=64,vocab_size=211");
    for (int task = TASK_TRAIN; task <= TASK_GENERATE; task++)
        for (size_t m = 0; m < sizeof(meshes) / sizeof(meshes[0]); m++)
            for (int recompute = RECOMPUTE_SELECTIVE; recompute <= RECOMPUTE_FULL; recompute++)
                if (task != TASK_GENERATE || meshes[m].size[AXIS_DP] == 1) /* each generates for itself */
                    check_plan(&c, &(struct compile_options){ .task = (enum task)task,
                                                              .rows = 64,
                                                              .sequences = 4,
                                                              .labels = 64,
                                                              .cache_rows = 4,
                                                              .cache_positions = 64,
                                                              .mesh = meshes[m],
                                                              .recompute = (enum recompute)recompute });
    config_release(&c);
}

static void large_plans_too(void **state)
{
    struct config c;

    load(&c, "n_layer=12");
    check_plan(
        &c,
        &(struct compile_options){
            .task = TASK_TRAIN, .rows = 1024, .sequences = 8, .labels = 1024, .mesh = { .size = { 1, 1 } } });
    check_plan(
        &c,
        &(struct compile_options){
            .task = TASK_TRAIN, .rows = 4096, .sequences = 8, .labels = 4096, .mesh = { .size = { 2, 4 } } });
    config_release(&c);
}

static int64_t arena_of(const struct config *c, enum recompute recompute)
{
    struct compile_options o = { .task = TASK_TRAIN,
                                 .rows = 1024,
                                 .sequences = 1,
                                 .labels = 8,
                                 .mesh = { .size = { 1, 1 } },
                                 .recompute = recompute };
    struct machine m;
    struct plan *p;
    int64_t bytes;

    assert_int_equal(machine_detect(&m), OK);
    assert_int_equal(plan_compile(c, &o, &m, &p), OK);
    bytes = p->program[PROGRAM_MICROBATCH].arena_bytes;
    plan_free(p);
    return bytes;
}

static void recompute_saves_memory(void **state)
{
    struct config c;
    int64_t none, selective, full;

    load(&c, "n_layer=8,n_embd=96,n_head=4,vocab_size=97");
    none = arena_of(&c, RECOMPUTE_NONE);
    selective = arena_of(&c, RECOMPUTE_SELECTIVE);
    full = arena_of(&c, RECOMPUTE_FULL);
    assert_true(selective < 0.8 * none);
    assert_true(full < 0.5 * selective);
    config_release(&c);
}

static struct plan *compiled(const struct config *c, struct mesh mesh)
{
    struct machine m;
    struct plan *p;

    assert_int_equal(machine_detect(&m), OK);
    assert_int_equal(
        plan_compile(c,
                     &(struct compile_options){ .task = TASK_TRAIN,
                                                .rows = 512,
                                                .sequences = 4,
                                                .labels = 512,
                                                .mesh = mesh,
                                                .cluster = { .link_bytes = 1e11, .message_seconds = 1e-6 } },
                     &m, &p),
        OK);
    return p;
}

static void complete_gradients_are_reduced_at_once(void **state)
{
    struct config c;
    struct plan *p;
    int started = 0, left = 0;

    load(&c, "n_layer=3,n_embd=256,n_head=4,vocab_size=1000");
    p = compiled(&c, (struct mesh){ .size = { 2, 1 } });
    for (size_t k = 0; k < p->graph->node_count; k++) {
        const struct node *n = p->graph->nodes[k];
        if (n->op != &op_all_reduce || tensor_bytes(n->in[0]) < 1 << 16)
            continue;
        if (!n->wait) {
            left++;
            continue;
        }
        started++;
        assert_true(n->last_only && n->id < p->program[PROGRAM_MICROBATCH].end);
        assert_true(n->wait->id >= p->program[PROGRAM_UPDATE].first);
        assert_ptr_equal(n->in[0]->producer, p->graph->nodes[k - 1]);
    }
    assert_int_equal(started, 3 * 4 + 2); /* the matrices of three layers, and two tables */
    assert_int_equal(left, 0);
    plan_free(p);
    config_release(&c);
}

static bool works_between(const struct plan *p, const struct node *n, const struct op_def *op)
{
    for (int k = n->id; k < n->wait->id; k++)
        if (p->graph->nodes[k]->op == op)
            return true;
    return false;
}

static void weight_gradients_hide_sums(void **state)
{
    struct config c;
    struct plan *p;
    int hidden = 0;

    load(&c, "n_layer=3,n_embd=256,n_head=4,vocab_size=1000");
    p = compiled(&c, (struct mesh){ .size = { 1, 2 } });
    for (size_t k = 0; k < p->graph->node_count; k++)
        hidden += p->graph->nodes[k]->wait && works_between(p, p->graph->nodes[k], &op_linear_grad_weight);
    assert_true(hidden >= 3 * 2);
    plan_free(p);
    config_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_is_overwritten),
        cmocka_unit_test(large_plans_too),
        cmocka_unit_test(recompute_saves_memory),
        cmocka_unit_test(complete_gradients_are_reduced_at_once),
        cmocka_unit_test(weight_gradients_hide_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
