/* sink -- where the bytes of a file go, in order, once. A writer of a format knows only this; behind it is a
 * plain file, a file of a save in progress (ckpt/save.h), or standard output. */
#ifndef PLAIT_CKPT_SINK_H
#define PLAIT_CKPT_SINK_H

#include <stddef.h>

struct sink {
    int (*write)(struct sink *s, const void *bytes, size_t length); /* a status */
};

/* A file that appears whole or not at all: written beside its place under another name, synced and renamed by
 * _end. "-" is standard output; devices and pipes are written in place. */
struct file_sink { /* begins with its sink */
    struct sink sink;
    char *path, *temporary; /* temporary NULL: written in place */
    int fd;
};
int file_sink_begin(struct file_sink *f, const char *path); /* ERR_CREATE */
/* `status` is how the writing went: other than OK, the file is dropped and status is returned. */
int file_sink_end(struct file_sink *f, int status);

#endif
