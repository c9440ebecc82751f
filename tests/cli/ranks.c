/* ranks -- every kind of transfer among the processes of a launcher; `ranks fail` has one of them fail.
 * Prints what the first rank knows of the world. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "comm/world.h"
#include "lib/transfers.h"

static int check(void *context, int rank, struct comm *c)
{
    TRY(transfers_every_kind(context, rank, c));
    TRY(transfers_members(context, rank, c));
    for (int i = 0; i < 5; i++)
        TRY(transfers_ahead(context, rank, c));
    return OK;
}

static int lose_one(void *context, int rank, struct comm *c)
{
    const char *how = context;

    comm_enter(c, PHASE_RUN);
    TRY(transfers_members(NULL, rank, c));
    if (rank == 5 && strcmp(how, "fail") == 0)
        return fail(ERR_DATA, "rank %d has had enough", rank);
    if (rank == 5 && strcmp(how, "exit") == 0)
        _exit(3);
    while (rank == 5 && strcmp(how, "hang") == 0)
        pause();
    return transfers_every_kind(NULL, rank, c);
}

static void tell(int status)
{
    fprintf(stderr, "ranks: %s (status %d)\n", error_message(), status);
}

int main(int argc, char **argv)
{
    static const struct mesh mesh = { { 2, 2, 2 } };
    const char *how = argc > 1 ? argv[1] : "";
    bool differs = strcmp(how, "differ") == 0;
    struct world w;
    int status;

    if (world_open(&w, &(struct world_options){ .comm = WORLD_MPI, .tell = tell }) != OK)
        return 1;
    if (world_is_first(&w))
        printf("%d ranks, %d on this host, %d threads each\n", w.ranks, w.host_ranks,
               world_threads(&w, &mesh));
    status = world_agree(&w, "word", differs && w.rank == 6 ? "b" : "a");
    if (status == OK && *how && !differs)
        status = world_run(&w, &mesh, lose_one, argv[1]);
    else if (status == OK)
        status = world_run(&w, &mesh, check, w.host_ranks < w.ranks ? &w : NULL);
    return error_exit_code(world_close(&w, status));
}
