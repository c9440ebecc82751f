/* launcher -- who started this process, as one of how many ranks: told by the environment. Private to
 * src/comm. */
#ifndef PLAIT_COMM_LAUNCHER_H
#define PLAIT_COMM_LAUNCHER_H

enum mpi_flavour { FLAVOUR_OPENMPI, FLAVOUR_MPICH, FLAVOURS };

struct launcher {
    const char *name;           /* "mpirun"; NULL: nobody, or for one rank */
    int ranks, rank, host_rank; /* host_rank: place among those of this host; -1: not known */
    enum mpi_flavour flavour;   /* whose interface the launcher offers */
    const char *instead;        /* where ranks do not know of each other: what would let them; else NULL */
};

struct launcher launcher_find(void);

#endif
