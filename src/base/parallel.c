/* The threads are OpenMP's, and so is what is known of each of them: how many it may use (a setting of the
 * calling thread), whether it works in a team now, and its place there. Each thread that calls parallel_for
 * keeps its own team. */
#include "base/parallel.h"

#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

void parallel_settle(char **argv)
{
    char path[4096];
    ssize_t length;

    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return;
    length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (length <= 0 || setenv("GOMP_SPINCOUNT", "1000", 1) != 0)
        return;
    path[length] = '\0';
    execv(path, argv); /* when that fails, the program goes on as it is */
}

int parallel_cpus(void)
{
    return omp_get_num_procs(); /* counts the affinity mask, and sees through OMP_PROC_BIND, which narrows it
                                 */
}

void parallel_set_threads(int threads)
{
    if (threads < 1)
        BUG("parallel_set_threads(%d)", threads);
    omp_set_num_threads(threads);
}

int parallel_threads(void)
{
    return omp_get_max_threads();
}

int parallel_thread_index(void)
{
    return omp_get_thread_num();
}

void parallel_for(int64_t count, tile_fn *fn, void *context)
{
    int threads = parallel_threads();

    if (count < threads)
        threads = (int)(count > 0 ? count : 1);
    if (threads == 1 || omp_in_parallel()) {
        for (int64_t tile = 0; tile < count; tile++)
            fn(context, tile);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int64_t tile = 0; tile < count; tile++)
        fn(context, tile);
}
