/* nameless -- temporary files without a name: they are gone when they are closed, however the process ends.
 */
#ifndef PLAIT_DATA_NAMELESS_H
#define PLAIT_DATA_NAMELESS_H

/* For reading and writing, on the file system of the directory, which is made when it is not there.
 * ERR_CREATE. */
int nameless_create(const char *directory, int *fd);

#endif
