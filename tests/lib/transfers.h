/* transfers -- what transfers among ranks come to, checked by every rank: bodies for comm_local_run, or
 * for one of the processes of a launcher. context: NULL where reductions go in rank order. */
#ifndef PLAIT_TESTS_TRANSFERS_H
#define PLAIT_TESTS_TRANSFERS_H

#include "comm/comm.h"

enum { TRANSFERS_RANKS = 8 }; /* on a mesh of 2 x 2 x 2 */

int transfers_every_kind(void *context, int rank, struct comm *c);
int transfers_members(void *context, int rank, struct comm *c); /* some ranks of an axis */
int transfers_ahead(void *context, int rank, struct comm *c);   /* started, and waited for later */

#endif
