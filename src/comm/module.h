/* module -- finds and loads the module for an MPI. Private to src/comm. */
#ifndef PLAIT_COMM_MODULE_H
#define PLAIT_COMM_MODULE_H

#include "comm/launcher.h"
#include "comm/mpi.h"

struct loaded {
    void *handle;
    const struct mpi_module *module;
};

/* PLAIT_MPI in the environment names the file; otherwise it lies beside the program or the library, or in
 * their lib/plait. ERR_CONFIG. It is never unloaded: MPI leaves threads and handlers behind. */
int module_load(enum mpi_flavour flavour, struct loaded *out);
const char *flavour_name(enum mpi_flavour f); /* "Open MPI" */

#endif
