/* oslo -- options of ranks from a file of OSLO's form. */
#ifndef PLAIT_API_OSLO_H
#define PLAIT_API_OSLO_H

#include "api/options.h"

/* Adds what the file says; ERR_DATA where that is not what the options say already, or no such file. */
int oslo_read(const char *path, struct parallel_options *p);

#endif
