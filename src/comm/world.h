/* world -- the ranks that a command runs on. Started by mpirun or srun, this process is one of them;
 * otherwise they are threads of this process. The code of a command runs in every process alike, and
 * world_run hands each rank its end of comm; where a command reads or prints what is one for all, the
 * first rank does.
 *
 *     TRY(world_open(&w, &options));
 *     status = ...world_run(&w, &mesh, fn, context)...
 *     return world_close(&w, status);
 *
 * MPI is a module beside the program, found and loaded when it is needed (mpi.h). A struct of zeros, and
 * NULL, is a world of threads. */
#ifndef PLAIT_COMM_WORLD_H
#define PLAIT_COMM_WORLD_H

#include "base/str.h"
#include "comm/comm.h"

enum world_comm { WORLD_AUTO, WORLD_LOCAL, WORLD_MPI };

struct world_options {
    enum world_comm comm;
    /* Tells, on the first of the ranks that have failed of themselves, what error.h has recorded. */
    void (*tell)(int status);
};

struct world {
    const char *launcher; /* "mpirun"; NULL: threads */
    int ranks, rank;      /* processes, 0 and 0: threads */
    int host_ranks, host_rank;
    struct comm *comm; /* this process's end; NULL: threads */
    struct joined *joined;
    void (*tell)(int status);
};

/* ERR_CONFIG when the module that the launcher needs is not there. */
int world_open(struct world *w, const struct world_options *o);
/* To be called by every rank, with its status. Leaves together; when that cannot be, ends all ranks. What has
 * failed is told once, by o->tell; returns the status of the rank that failed first. */
int world_close(struct world *w, int status);

/* NULL: nobody has started this process as one of several ranks. */
const char *world_launcher(int *ranks);
/* Where there is no world yet: what fails there fails for all, and the first tells. */
bool world_may_tell(void);
bool world_is_first(const struct world *w);
/* Runs fn on every rank. Threads that parallel_for may use in each: world_threads. */
int world_run(const struct world *w, const struct mesh *mesh,
              int (*fn)(void *context, int rank, struct comm *comm), void *context);
/* Processors are never given to two threads, unless the user has said how many threads. */
int world_threads(const struct world *w, const struct mesh *mesh);
/* Ranks whose memory is this host's. */
int world_host_ranks(const struct world *w, const struct mesh *mesh);

void world_enter(const struct world *w, enum comm_phase phase); /* see comm_enter */

/* ---- agreeing, before the ranks run ---- */
/* Waits for all; a rank that has failed fails all. */
int world_wait(const struct world *w);
/* Whether it is so for any process; the largest value of all. */
int world_any(const struct world *w, bool *any);
int world_max(const struct world *w, double *value);
/* ERR_CONFIG, naming the first rank whose text is not that of rank 0. what: "the tokenizer". */
int world_agree(const struct world *w, const char *what, const char *text);
/* Rank 0's bytes for all. */
int world_share(const struct world *w, void *data, size_t bytes);
/* What rank 0 finds on standard input, for all to read there. To be called by all before any has read. */
int world_share_input(const struct world *w);

/* For plait --version: a line for each MPI there is, or one on why there is none. */
void world_describe(struct str *out);

#endif
