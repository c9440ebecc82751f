/* What launchers leave in the environment: Open MPI's mpirun OMPI_COMM_WORLD_*; MPICH's mpiexec, and srun
 * --mpi=pmi2, PMI_*; srun SLURM_STEP_NUM_TASKS, and with --mpi=pmix PMIX_RANK; torchrun and its like RANK,
 * LOCAL_RANK and WORLD_SIZE. MPICH's mpiexec inside a Slurm job starts its own helpers by srun, so Slurm is
 * asked after both. */
#include "comm/launcher.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int number_or(const char *name, int otherwise)
{
    const char *text = getenv(name);

    return text ? (int)strtol(text, NULL, 10) : otherwise;
}

static int number(const char *name)
{
    return number_or(name, 0);
}

static bool by_srun(int ranks)
{
    const char *task = getenv("SLURM_PROCID"), *rank = getenv("PMI_RANK");

    return task && rank && strcmp(task, rank) == 0 && number("SLURM_STEP_NUM_TASKS") == ranks;
}

/* Of PyTorch: nothing in it leads from one rank to another without a server of its own. */
static struct launcher find_torchrun(void)
{
    int ranks = getenv("RANK") && getenv("LOCAL_RANK") ? number("WORLD_SIZE") : 0;

    if (ranks <= 1)
        return (struct launcher){ .ranks = 1 };
    return (struct launcher){ .name = "torchrun",
                              .ranks = ranks,
                              .rank = number("RANK"),
                              .host_rank = number("LOCAL_RANK"),
                              .instead = "mpirun" };
}

struct launcher launcher_find(void)
{
    int open_mpi = number("OMPI_COMM_WORLD_SIZE"), pmi = number("PMI_SIZE"),
        slurm = number("SLURM_STEP_NUM_TASKS");

    if (open_mpi > 0)
        return (struct launcher){ .name = open_mpi > 1 ? "mpirun" : NULL,
                                  .ranks = open_mpi,
                                  .rank = number("OMPI_COMM_WORLD_RANK"),
                                  .host_rank = number_or("OMPI_COMM_WORLD_LOCAL_RANK", -1),
                                  .flavour = FLAVOUR_OPENMPI };
    if (pmi > 0)
        return (struct launcher){ .name = pmi == 1       ? NULL
                                          : by_srun(pmi) ? "srun"
                                                         : "mpirun",
                                  .ranks = pmi,
                                  .rank = number("PMI_RANK"),
                                  .host_rank = number_or("MPI_LOCALRANKID", number_or("SLURM_LOCALID", -1)),
                                  .flavour = FLAVOUR_MPICH };
    if (slurm > 1)
        return (struct launcher){ .name = "srun",
                                  .ranks = slurm,
                                  .rank = number("SLURM_PROCID"),
                                  .host_rank = number_or("SLURM_LOCALID", -1),
                                  .flavour = FLAVOUR_OPENMPI,
                                  .instead = getenv("PMIX_RANK") ? NULL : "srun --mpi=pmix" };
    return find_torchrun();
}
