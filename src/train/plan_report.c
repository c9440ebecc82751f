/* What `plait plan` prints of a run: its layout, what a rank takes, how long a step will take, and why other
 * layouts were not chosen. */
#include <inttypes.h>

#include "base/json.h"
#include "plan/stage.h"
#include "train/run.h"

static const struct graph *graph_of(const struct plan *p)
{
    return p->whole ? p->whole : p->graph;
}

static double eval_bytes(const struct run *r)
{
    const struct plan *p = r->eval_plan;

    return p ? (double)(p->program[PROGRAM_MICROBATCH].arena_bytes + p->input_bytes) : 0;
}

static double rank_bytes(const struct run *r)
{
    return (double)plan_bytes(r->plan) + eval_bytes(r);
}

static double value_bytes(const struct run *r)
{
    const struct plan *p = r->plan;

    return rank_bytes(r) - (double)(p->param_bytes + p->state_bytes + p->grad_bytes);
}

static const char *recompute_name(enum recompute kind)
{
    static const char *const names[] = { "selective", "none", "full" };

    return names[kind];
}

static double rank_memory(const struct run *r)
{
    return r->job->memory / world_host_ranks(r->job->world, &r->mesh);
}

struct span {
    int first, end;
};

static int within(const struct stages *s, int layer)
{
    return layer < 0 ? 0 : layer > s->layers ? s->layers : layer;
}

/* Of a stage, without what stands before and after all layers: the first stage has that, and the last. */
static struct span layers_of(const struct stages *s, int k)
{
    int end = k + 1 < stage_count(s) ? s->first_layer[k + 1] : s->layers;

    return (struct span){ within(s, s->first_layer[k]), within(s, end) };
}

/* ---- for people ---- */

static void print_bytes(struct str *out, const char *before, double bytes)
{
    str_append(out, before);
    str_append_bytes_human(out, bytes);
}

static void print_layers(struct str *out, const char *before, int first, int last)
{
    if (first == last)
        str_appendf(out, "%slayer %d", before, first);
    else
        str_appendf(out, "%slayers %d-%d", before, first, last);
}

static void print_stages(const struct plan *p, struct str *out)
{
    const struct stages *s = p->stages;

    str_append(out, "stages:");
    for (int k = 0; k < stage_count(s); k++) {
        struct span x = layers_of(s, k);
        str_appendf(out, "%s %d:", k ? ";" : "", k % s->ranks);
        if (k == 0)
            str_append(out, " embedding");
        if (x.end > x.first)
            print_layers(out, k == 0 ? ", " : " ", x.first, x.end - 1);
        if (k + 1 == stage_count(s))
            str_appendf(out, "%s head", k == 0 || x.end > x.first ? "," : "");
    }
    str_append(out, "\n");
}

static void print_memory(const struct run *r, struct str *out)
{
    const struct plan *p = r->plan;

    print_bytes(out, "memory of a rank: ", rank_bytes(r));
    if (r->job->memory > 0)
        print_bytes(out, " of ", rank_memory(r));
    print_bytes(out, ": parameters ", (double)p->param_bytes);
    print_bytes(out, ", optimizer ", (double)p->state_bytes);
    print_bytes(out, ", gradients ", (double)p->grad_bytes);
    print_bytes(out, ", activations ", value_bytes(r));
    str_append(out, "\n");
}

static void print_time(const struct layout_cost *c, struct str *out)
{
    str_appendf(
        out,
        "step: %.3g s predicted: computing %.3g s, transfers %.3g s (%.0f %%), bubble %.3g s (%.0f %%)\n",
        c->seconds, c->compute, c->exchange, 100 * c->exchange / c->seconds, c->bubble,
        100 * c->bubble / c->seconds);
}

static void print_cluster(const struct cluster *given, struct str *out)
{
    const struct cluster c = cluster_complete(given);

    str_appendf(
        out,
        "figures%s: a rank computes %.3g GFLOP/s and moves %.3g GB/s of memory, links move %.3g GB/s, "
        "a message takes %.3g us",
        given->flops > 0 ? "" : " of an ordinary host", c.flops / 1e9, c.memory_bytes / 1e9,
        c.link_bytes / 1e9, c.message_seconds * 1e6);
    if (given->hosts > 1)
        str_appendf(out, "; between hosts %.3g GB/s and %.3g us", c.host_link_bytes / 1e9,
                    c.host_message_seconds * 1e6);
    str_append(out, "\n");
}

static void print_search(const struct layout_search *s, struct str *out)
{
    str_appendf(out, "chosen among %zu layouts in %.2g s%s\n", s->weighed, s->seconds,
                s->count > 1 ? "; the others:" : "");
    for (size_t i = 1; i < s->count; i++) {
        str_append(out, "  ");
        layout_print(&s->option[i].layout, out);
        str_appendf(out, ": %s\n", s->option[i].why);
    }
}

void plan_report_print(const struct run *r, struct str *out)
{
    int64_t N = r->state.global_batch_size;
    struct str placements;

    str_appendf(out, "global batch: %" PRId64 " samples\nlayout: ", N);
    layout_print(&r->layout, out);
    str_append(out, "\n");
    str_init(&placements);
    placements_print(graph_of(r->plan), &r->mesh, &placements);
    if (placements.length > 0)
        str_appendf(out, "tensor parallel: %s\n", placements.data);
    str_release(&placements);
    if (r->plan->stages)
        print_stages(r->plan, out);
    print_memory(r, out);
    if (r->search.count == 0)
        return;
    print_time(&r->predicted, out);
    print_cluster(&r->job->wish.cluster, out);
    print_search(&r->search, out);
}

/* ---- as JSON ---- */

static void write_layout(struct json_writer *w, const struct layout_choice *l)
{
    json_write_member_int(w, "data_parallel_size", mesh_size(&l->mesh, AXIS_DP));
    json_write_member_int(w, "tensor_parallel_size", mesh_size(&l->mesh, AXIS_TP));
    json_write_member_int(w, "pipeline_parallel_size", mesh_size(&l->mesh, AXIS_PP));
    if (mesh_size(&l->mesh, AXIS_PP) > 1) {
        json_write_member_string(w, "pipeline_schedule", schedule_name(l->pipeline.schedule));
        json_write_member_int(w, "pipeline_chunks", l->pipeline.chunks);
    }
    json_write_member_int(w, "num_microbatches", l->pipeline.microbatches);
    json_write_member_int(w, "microbatch_size", l->microbatch);
    json_write_member_int(w, "zero_stage", l->zero);
    json_write_member_string(w, "recompute", recompute_name(l->recompute));
}

static void write_stage(struct json_writer *w, const struct layout_choice *l, const struct stages *s, int k)
{
    struct span x = layers_of(s, k);
    int rank = k % s->ranks;

    json_write_object_begin(w);
    json_write_member_int(w, "rank", rank);
    json_write_key(w, "embeddings");
    json_write_bool(w, k == 0);
    json_write_member_int(w, "first_layer", x.first);
    json_write_member_int(w, "layer_count", x.end - x.first);
    json_write_key(w, "head");
    json_write_bool(w, k + 1 == stage_count(s));
    json_write_member_string(w, "recompute", recompute_name(layout_recompute(l, rank)));
    json_write_object_end(w);
}

static void write_stages(struct json_writer *w, const struct layout_choice *l, const struct plan *p)
{
    json_write_key(w, "stages");
    json_write_array_begin(w);
    for (int k = 0; p->stages && k < stage_count(p->stages); k++)
        write_stage(w, l, p->stages, k);
    json_write_array_end(w);
}

static void write_bytes(struct json_writer *w, const struct run *r)
{
    const struct plan *p = r->plan;

    json_write_key(w, "bytes");
    json_write_object_begin(w);
    json_write_member_number(w, "needed", rank_bytes(r));
    if (r->job->memory > 0)
        json_write_member_number(w, "available", rank_memory(r));
    json_write_member_int(w, "parameters", p->param_bytes);
    json_write_member_int(w, "optimizer", p->state_bytes);
    json_write_member_int(w, "gradients", p->grad_bytes);
    json_write_member_number(w, "activations", value_bytes(r));
    json_write_object_end(w);
}

static void write_seconds(struct json_writer *w, const struct layout_cost *c)
{
    json_write_key(w, "predicted");
    json_write_object_begin(w);
    json_write_member_number(w, "step_seconds", c->seconds);
    json_write_member_number(w, "compute_seconds", c->compute);
    json_write_member_number(w, "transfer_seconds", c->exchange);
    json_write_member_number(w, "bubble_seconds", c->bubble);
    json_write_object_end(w);
}

static void write_search(struct json_writer *w, const struct layout_search *s)
{
    json_write_key(w, "search");
    json_write_object_begin(w);
    json_write_member_int(w, "weighed", (int64_t)s->weighed);
    json_write_member_number(w, "seconds", s->seconds);
    json_write_object_end(w);
    json_write_key(w, "others");
    json_write_array_begin(w);
    for (size_t i = 1; i < s->count; i++) {
        json_write_object_begin(w);
        write_layout(w, &s->option[i].layout);
        json_write_member_int(w, "global_batch_size", s->option[i].global_batch);
        json_write_member_number(w, "step_seconds", s->option[i].cost.seconds);
        json_write_member_number(w, "rank_bytes", s->option[i].cost.bytes);
        json_write_member_string(w, "why", s->option[i].why);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

void plan_report_write(const struct run *r, struct json_writer *w)
{
    struct cluster cluster;
    struct str placements;

    json_write_member_int(w, "global_batch_size", r->state.global_batch_size);
    json_write_key(w, "layout");
    json_write_object_begin(w);
    write_layout(w, &r->layout);
    json_write_object_end(w);
    str_init(&placements);
    placements_print(graph_of(r->plan), &r->mesh, &placements);
    json_write_member_string(w, "tensor_parallel", placements.data);
    str_release(&placements);
    write_stages(w, &r->layout, r->plan);
    write_bytes(w, r);
    if (r->search.count == 0)
        return;
    write_seconds(w, &r->predicted);
    json_write_key(w, "cluster");
    cluster = cluster_complete(&r->job->wish.cluster);
    cluster_write(&cluster, w);
    write_search(w, &r->search);
}
