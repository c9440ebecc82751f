/* Where a model runs, as far as its sizes are left open: found when it is first run, by what it then runs. */
#include "api/api.h"
#include "base/log.h"
#include "plan/partition.h"

int model_place(struct plait_model *m, const struct layout_work *work, const struct layout_maker *maker)
{
    struct layout_wish w = m->wish;
    struct layout_option found;
    struct str text;

    if (m->wish.world == 0)
        return OK;
    w.memory = m->available / world_host_ranks(m->world, &m->mesh);
    w.chunks = 0; /* nothing but training has any */
    TRY(layout_forward(&w, work, maker, m->world, &found));
    m->wish.world = 0;
    m->mesh = found.layout.mesh;
    if (m->rules)
        partition_rules_tell_idle(m->rules, &m->mesh);
    str_init(&text);
    layout_print_ranks(&m->mesh, &text);
    inform("Layout = %s, %d thread%s each", text.data, world_threads(m->world, &m->mesh),
           world_threads(m->world, &m->mesh) > 1 ? "s" : "");
    str_release(&text);
    return OK;
}
