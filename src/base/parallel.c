/* The threads are OpenMP's. Each thread that calls parallel_for keeps its own team between calls. */
#include "base/parallel.h"

#include <omp.h>
#include <stdbool.h>

#include "base/err.h"

struct own {
    int threads; /* 0: not yet known */
    int index;   /* within the team that works now */
    bool inside; /* a team works now, and this thread is of it */
};

static _Thread_local struct own own;

int parallel_cpus(void)
{
    return omp_get_num_procs(); /* counts the affinity mask, and sees through OMP_PROC_BIND, which narrows it
                                 */
}

void parallel_set_threads(int threads)
{
    if (threads < 1)
        BUG("parallel_set_threads(%d)", threads);
    own.threads = threads;
}

int parallel_threads(void)
{
    if (own.threads == 0)
        own.threads = parallel_cpus();
    return own.threads;
}

int parallel_thread_index(void)
{
    return own.index;
}

void parallel_for(int64_t count, tile_fn *fn, void *context)
{
    int threads = parallel_threads();
    if (count < threads)
        threads = (int)(count > 0 ? count : 1);
    if (threads == 1 || own.inside) {
        for (int64_t tile = 0; tile < count; tile++)
            fn(context, tile);
        return;
    }
    int limit = own.threads;
#pragma omp parallel num_threads(threads)
    {
        struct own before = own;
        own = (struct own){ .threads = limit, .index = omp_get_thread_num(), .inside = true };
#pragma omp for schedule(dynamic)
        for (int64_t tile = 0; tile < count; tile++)
            fn(context, tile);
        own = before;
    }
}
