/* What train and eval share: where a session runs, and that it can be stopped. */
#include "base/err.h"
#include "cli/cli.h"
#include "comm/world.h"
#include "train/session.h"

int session_place(struct session_options *s, const struct compute_options *c, struct parallel_options *p)
{
    s->dtype = compute_dtype(c);
    TRY(parallel_mesh(p, s->world, &s->mesh));
    TRY(compute_check(c, world_host_ranks(s->world, &s->mesh), &s->memory));
    TRY(parallel_pipeline(p, &s->mesh, &s->pipeline));
    s->recompute = parallel_recompute(p);
    s->zero_stage = parallel_zero_stage(p, &s->mesh);
    parallel_wish(p, &s->mesh, &s->wish);
    return parallel_rules(p, s->world, &s->mesh, &s->rules);
}

int session_run(struct parallel_options *p, session_fn *fn, void *values, struct options *o)
{
    struct world w;
    struct stop *stop;
    int status;

    TRY(stop_create(&stop));
    status = parallel_open(p, &w, tell_error);
    if (status == OK)
        status = world_close(&w, fn(values, o, &w, stop));
    stop_free(stop);
    return status;
}
