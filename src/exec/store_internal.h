#ifndef PLAIT_EXEC_STORE_INTERNAL_H
#define PLAIT_EXEC_STORE_INTERNAL_H

#include "exec/exec.h"

/* The entry for t (a parameter, state or accumulator), made (zero) when it is not there. ERR_INTERNAL when it
 * is there with another shape or share. */
int store_bind(struct store *s, const struct tensor *t, const struct mesh *mesh, int rank,
               struct stored **out);

#endif
