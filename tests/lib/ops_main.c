/* The program of all op tests: one test for each op and each question. A missing case list does not link, an
 * op without gradient that does not say so fails. `test_ops --dump` prints every case as a line of JSON for
 * tests/oracle/ops.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "comm/kernels.h"
#include "cpu/kernels.h"
#include "lib/ops.h"

#include <cmocka.h>

static const struct op_cases *const lists[OP_COUNT] = {
#define OP(name) [OP_##name] = &cases_##name,
#include "core/ops.def"
#undef OP
};

typedef void check_fn(const struct op_def *op, const struct op_cases *l, const struct ops_case_def *def);

static const struct {
    const char *name;
    check_fn *check;
} checks[] = {
    { "golden", ops_check_golden },   { "gradient", ops_check_gradient },
    { "kernels", ops_check_kernels }, { "sharding", ops_check_sharding },
    { "cost", ops_check_cost },       { "collective", ops_check_collective },
    { "fusion", ops_check_fusion },
};
enum { CHECKS = sizeof(checks) / sizeof(checks[0]), COLLECTIVE = 5, FUSION = 6 };

struct question {
    enum op_id op;
    int check;
    char name[64];
};

static bool is_collective(enum op_id op)
{
    return comm_kernels[op] != NULL;
}

static void ask(void **state)
{
    const struct question *q = *state;
    const struct op_def *op = op_table[q->op];
    const struct op_cases *l = lists[q->op];
    const struct ops_case_def *def = q->check == FUSION ? l->fuses : l->cases;

    if (!def || !def->name)
        fail_msg("%s has no cases", q->name);
    if (!is_collective(q->op) && !cpu_kernel_table(ISA_BASE)[q->op])
        fail_msg("%s has no kernels: its row in src/cpu/kernels.c is missing", op->name);
    if (!op->grad == !op->no_gradient)
        fail_msg("%s must have a gradient or say .no_gradient", op->name);
    for (; def->name; def++)
        checks[q->check].check(op, l, def);
}

static bool applies(enum op_id op, int check)
{
    if (op == OP_send || op == OP_receive) /* what a pipeline makes of them: dist/pipeline.c */
        return false;
    if (op == OP_wait) /* asked with each collective that can be waited for */
        return false;
    if (check == FUSION)
        return op_table[op]->fuse || lists[op]->fuses;
    return is_collective(op) ? check == COLLECTIVE : check != COLLECTIVE;
}

/* ---- Dump ---- */

static void dump_values(struct str *out, const struct tensor *t, const struct view *v)
{
    str_appendf(out, "{\"dtype\": \"%s\", \"shape\": [", dtype_name(t->dtype));
    for (int d = 0; d < v->ndim; d++)
        str_appendf(out, "%s%lld", d ? ", " : "", (long long)v->dim[d]);
    str_append(out, "], \"values\": [");
    for (int64_t i = 0; i < ops_count(v); i++)
        str_appendf(out, isfinite(ops_get(v, i)) ? "%s%.17g" : "%s\"%g\"", i ? ", " : "", ops_get(v, i));
    str_append(out, "]}");
}

static void dump_call(struct str *out, struct ops_call *call, const char *name)
{
    const struct node *n = call->node;
    char buffer[32];
    bool first = true;

    str_appendf(
        out,
        "{\"op\": \"%s\", \"case\": \"%s\", \"seed\": %llu, \"step\": %llu, \"stream\": %u, \"attrs\": {",
        n->op->name, name, (unsigned long long)call->c->seed, (unsigned long long)call->c->step, n->stream);
    for (int i = 0; i < MAX_ATTRS && n->op->attrs[i].name; i++)
        str_appendf(out, "%s\"%s\": %.17g", i ? ", " : "", n->op->attrs[i].name, n->attr[i]);
    str_append(out, "}, \"in\": [");
    for (int i = 0; i < n->nin; i++) {
        str_append(out, i ? ", " : "");
        if (n->in[i])
            dump_values(out, n->in[i], &call->in[i]);
        else
            str_append(out, "null");
    }
    str_append(out, "], \"out\": {");
    for (int r = 0; r < OPS_RESULTS; r++) {
        if (!ops_result(call, r))
            continue;
        str_appendf(out, "%s\"%s\": ", first ? "" : ", ", ops_result_name(call, r, buffer));
        first = false;
        if (r < MAX_OUTPUTS && n->out[r]->into)
            dump_values(out, n->out[r], &call->out[r]); /* what the result is added to */
        else
            str_append(out, "null");
    }
    str_append(out, "}}\n");
}

static void dump_case(const struct op_def *op, const struct ops_case_def *def)
{
    struct ops_case c;
    struct ops_values v;
    struct ops_call call;
    struct str out;

    ops_case_init(&c, op, def, -1);
    ops_values_init(&v, &c);
    str_init(&out);
    if (!c.large) {
        ops_run(&c, &v, 0, (size_t)c.node->id);
        ops_call_init(&call, &c, c.node, &v, DT_F64);
        dump_call(&out, &call, def->name);
        fputs(out.data, stdout);
        ops_call_release(&call);
    }
    str_release(&out);
    ops_values_release(&v);
    ops_case_release(&c);
}

int main(int argc, char **argv)
{
    static struct question questions[OP_COUNT * CHECKS];
    static struct CMUnitTest tests[OP_COUNT * CHECKS];
    size_t count = 0;

    if (argc == 2 && strcmp(argv[1], "--dump") == 0) {
        for (int op = 0; op < OP_COUNT; op++)
            for (const struct ops_case_def *d = lists[op]->cases; !is_collective((enum op_id)op) && d->name;
                 d++)
                dump_case(op_table[op], d);
        return 0;
    }
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    for (int op = 0; op < OP_COUNT; op++) {
        for (int check = 0; check < CHECKS; check++) {
            struct question *q = &questions[count];
            if (!applies((enum op_id)op, check))
                continue;
            *q = (struct question){ .op = (enum op_id)op, .check = check };
            snprintf(q->name, sizeof(q->name), "%s %s", op_table[op]->name, checks[check].name);
            tests[count++] = (struct CMUnitTest){ .name = q->name, .test_func = ask, .initial_state = q };
        }
    }
    return _cmocka_run_group_tests("ops", tests, count, NULL, NULL);
}
