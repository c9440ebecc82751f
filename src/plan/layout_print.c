/* Layouts in words. */
#include <inttypes.h>

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "plan/layout.h"

static void print_sizes(const struct mesh *m, struct str *out)
{
    static const char *const names[AXIS_COUNT] = { "data", "tensor", "pipeline" };
    const char *between = "";

    if (mesh_ranks(m) == 1)
        str_append(out, "one rank");
    for (int a = 0; a < AXIS_COUNT; a++) {
        if (mesh_size(m, (enum axis)a) == 1)
            continue;
        str_appendf(out, "%s%s %d", between, names[a], mesh_size(m, (enum axis)a));
        between = " x ";
    }
}

void layout_print(const struct layout_choice *l, struct str *out)
{
    print_sizes(&l->mesh, out);
    if (mesh_size(&l->mesh, AXIS_PP) > 1)
        str_appendf(out, ", %s", schedule_name(l->pipeline.schedule));
    if (l->pipeline.chunks > 1)
        str_appendf(out, " (%d chunks)", l->pipeline.chunks);
    str_appendf(out, ", %d microbatch%s of %" PRId64, l->pipeline.microbatches,
                l->pipeline.microbatches == 1 ? "" : "es", l->microbatch);
    if (l->zero > 0)
        str_appendf(out, ", ZeRO %d", l->zero);
    layout_print_recompute(l, out);
}

void layout_print_recompute(const struct layout_choice *l, struct str *out)
{
    int ranks = mesh_size(&l->mesh, AXIS_PP), spared = __builtin_popcountll(l->spared);

    if (l->recompute == RECOMPUTE_FULL)
        str_append(out, ", recompute full");
    if (l->recompute == RECOMPUTE_FULL && spared > 0)
        str_appendf(out, " on %d of %d", ranks - spared, ranks);
}

void layout_print_ranks(const struct mesh *m, struct str *out)
{
    int ranks = mesh_ranks(m);

    str_appendf(out, "%d rank%s", ranks, ranks > 1 ? "s" : "");
    if (ranks > 1)
        str_appendf(out, " (data %d x tensor %d", mesh_size(m, AXIS_DP), mesh_size(m, AXIS_TP));
    if (mesh_size(m, AXIS_PP) > 1)
        str_appendf(out, " x pipeline %d", mesh_size(m, AXIS_PP));
    str_append(out, ranks > 1 ? ")" : "");
}

int layout_fail_memory(const struct layout_option *least, double memory)
{
    struct str need, have, how;

    str_init(&need);
    str_init(&have);
    str_init(&how);
    str_append_bytes_human(&need, least->cost.bytes);
    str_append_bytes_human(&have, memory);
    layout_print(&least->layout, &how);
    fail(ERR_SYSTEM, "not enough memory for this run (found %s for each rank at least, with %s; expected %s)",
         need.data, how.data, have.data);
    str_release(&need);
    str_release(&have);
    str_release(&how);
    return ERR_SYSTEM;
}

/* ---- Why another one was chosen ---- */

char *layout_reason(const struct layout_wish *w, const struct layout_option *o,
                    const struct layout_option *best)
{
    double seconds = o->cost.seconds / (double)o->global_batch,
           least = best->cost.seconds / (double)best->global_batch;
    struct str s;

    str_init(&s);
    if (!o->fits) {
        str_append(&s, "needs ");
        str_append_bytes_human(&s, o->cost.bytes);
        str_append(&s, " of ");
        str_append_bytes_human(&s, w->memory);
        return str_detach(&s);
    }
    if (layout_idles_zero(&o->layout) && !layout_idles_zero(&best->layout))
        str_append(&s, "one copy of the model, nothing for ZeRO to deal out");
    else if (o->global_batch < best->global_batch)
        str_appendf(&s, "fewer copies of the model (%d of %d)", mesh_size(&o->layout.mesh, AXIS_DP),
                    mesh_size(&best->layout.mesh, AXIS_DP));
    else if (seconds > least * 1.0005)
        str_appendf(&s, "%.3g %% slower", 100 * (seconds / least - 1));
    else
        str_append(&s, "as fast, but less simple");
    str_appendf(&s, ": transfers %.0f %%", 100 * o->cost.exchange / o->cost.seconds);
    if (mesh_size(&o->layout.mesh, AXIS_PP) > 1)
        str_appendf(&s, ", bubble %.0f %%", 100 * o->cost.bubble / o->cost.seconds);
    return str_detach(&s);
}

/* ---- In a checkpoint ---- */

static const char *const recomputes[] = { "selective", "none", "full" }; /* as enum recompute */

void layout_write(const struct layout_choice *l, struct str *out)
{
    str_appendf(out,
                "data %d, tensor %d, pipeline %d, %s, chunks %d, microbatches %d of %" PRId64
                ", zero %d, recompute %s",
                mesh_size(&l->mesh, AXIS_DP), mesh_size(&l->mesh, AXIS_TP), mesh_size(&l->mesh, AXIS_PP),
                schedule_name(l->pipeline.schedule), l->pipeline.chunks > 1 ? l->pipeline.chunks : 1,
                l->pipeline.microbatches, l->microbatch, l->zero, recomputes[l->recompute]);
}

static bool is_possible(const struct layout_choice *l)
{
    for (int a = 0; a < AXIS_COUNT; a++)
        if (l->mesh.size[a] < 1 || l->mesh.size[a] > 1 << 10)
            return false;
    return l->pipeline.chunks >= 1 && l->pipeline.chunks <= 1 << 10 && l->pipeline.microbatches >= 1 &&
           l->microbatch >= 1 && l->microbatch <= 1 << 20 && l->zero >= 0 && l->zero <= 3;
}

int layout_read(const char *text, struct layout_choice *out)
{
    struct layout_choice l = { 0 };
    char schedule[16], recompute[16];
    int found = sscanf(text,
                       "data %d, tensor %d, pipeline %d, %15[a-z0-9_], chunks %d, microbatches %d of %" SCNd64
                       ", zero %d, recompute %15[a-z]",
                       &l.mesh.size[AXIS_DP], &l.mesh.size[AXIS_TP], &l.mesh.size[AXIS_PP], schedule,
                       &l.pipeline.chunks, &l.pipeline.microbatches, &l.microbatch, &l.zero, recompute);
    int kind = 0, way = 0;

    while (found == 9 && kind < SCHEDULE_KINDS &&
           strcmp(schedule, schedule_name((enum schedule_kind)kind)) != 0)
        kind++;
    while (found == 9 && way < 3 && strcmp(recompute, recomputes[way]) != 0)
        way++;
    if (found != 9 || kind == SCHEDULE_KINDS || way == 3 || !is_possible(&l))
        return fail(ERR_DATA, "the layout is none (found \"%.80s\")", text);
    l.pipeline.schedule = (enum schedule_kind)kind;
    l.recompute = (enum recompute)way;
    *out = l;
    return OK;
}
