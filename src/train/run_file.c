#include "train/run_file.h"

#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "train/run.h"

static void write_model(struct json_writer *w, const struct run *r)
{
    const struct model *m = r->job->model;

    json_write_key(w, "model");
    json_write_object_begin(w);
    json_write_member_string(w, "architecture", m->config.architecture);
    json_write_member_string(w, "config", m->config.name);
    json_write_member_string(w, "weights", m->has_weights ? m->weights.path : NULL);
    json_write_member_int(w, "parameters", r->freeze.frozen + r->freeze.trained);
    json_write_member_int(w, "trainable_parameters", r->freeze.trained);
    json_write_object_end(w);
}

static void write_plan(struct json_writer *w, const struct run *r)
{
    const struct plan *p = r->plan;

    json_write_key(w, "plan");
    json_write_object_begin(w);
    json_write_member_int(w, "data_parallel_size", r->mesh.size[AXIS_DP]);
    json_write_member_int(w, "tensor_parallel_size", r->mesh.size[AXIS_TP]);
    json_write_member_int(w, "pipeline_parallel_size", r->mesh.size[AXIS_PP]);
    if (p->schedule)
        json_write_member_string(w, "pipeline_schedule", schedule_name(p->schedule->options.kind));
    json_write_member_int(w, "zero_stage", r->layout.zero);
    json_write_member_int(w, "microbatch_size", r->batches.microbatch);
    json_write_member_int(w, "gradient_accumulation_steps", r->batches.accumulation);
    json_write_member_int(w, "global_batch_size", r->state.global_batch_size);
    json_write_member_int(w, "total_steps", r->total_steps);
    json_write_member_int(w, "steps_per_epoch", r->steps_per_epoch);
    json_write_member_int(w, "warmup_steps", r->lr.warmup);
    json_write_member_int(w, "parameter_bytes", p->param_bytes);
    json_write_member_int(w, "optimizer_bytes", p->state_bytes);
    json_write_member_int(w, "gradient_bytes", p->grad_bytes);
    json_write_member_int(w, "rank_bytes", plan_bytes(p));
    if (r->predicted.seconds > 0) {
        json_write_key(w, "predicted_step_ms");
        json_write_double(w, r->predicted.seconds * 1e3);
    }
    json_write_object_end(w);
}

static void write_hashes(struct json_writer *w, const struct run *r)
{
    json_write_key(w, "hashes");
    json_write_object_begin(w);
    for (size_t i = 0; i < r->job->note_count; i++)
        json_write_member_string(w, r->job->notes[i].key, r->job->notes[i].value);
    json_write_object_end(w);
}

static void write_machine(struct json_writer *w, const struct run *r)
{
    char host[256] = "";

    gethostname(host, sizeof(host) - 1);
    json_write_key(w, "hosts");
    json_write_array_begin(w);
    json_write_object_begin(w);
    json_write_member_string(w, "name", host);
    json_write_member_int(w, "ranks", mesh_ranks(&r->mesh));
    json_write_member_int(w, "threads_per_rank", r->machine.threads);
    json_write_member_string(w, "instructions", isa_name(r->machine.isa));
    json_write_object_end(w);
    json_write_array_end(w);
}

static void write_start(struct json_writer *w, const struct run *r)
{
    time_t now = (time_t)clock_calendar();
    struct tm t;
    char date[40];

    gmtime_r(&now, &t);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &t);
    json_write_member_string(w, "started", date);
    json_write_member_int(w, "first_step", r->first_step);
    json_write_member_string(w, "resumed_from", r->job->checkpoint);
}

int run_file_write(const struct run *r)
{
    char *path = path_join(r->o->output_dir, "run.json");
    struct json_writer w;
    struct str text;
    int status;

    str_init(&text);
    json_writer_init(&w, &text, 2);
    json_write_object_begin(&w);
    json_write_member_string(&w, "plait", PLAIT_BUILD_VERSION);
    json_write_member_string(&w, "run", r->id);
    write_start(&w, r);
    json_write_key(&w, "options");
    json_write_object_begin(&w);
    options_write_json(r->job->given, &w);
    json_write_object_end(&w);
    write_model(&w, r);
    write_plan(&w, r);
    write_hashes(&w, r);
    write_machine(&w, r);
    json_write_object_end(&w);
    str_append_char(&text, '\n');
    status = file_write(path, text.data, text.length);
    str_release(&text);
    mem_free(path);
    return status;
}
