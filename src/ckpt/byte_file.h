/* byte_file -- the bytes of an untrusted file, read at any place and never mapped, so that a file that
 * shrinks meanwhile is an error and not a signal; and a cursor that walks through a part of them. */
#ifndef PLAIT_CKPT_BYTE_FILE_H
#define PLAIT_CKPT_BYTE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct byte_file {
    char *path; /* as given, for messages; "standard input" for "-" */
    uint64_t length;
    /* private */
    int fd; /* -1: bytes are in `content` */
    struct str content;
};

/* Symbolic links are followed; "-" reads all of standard input. ERR_OPEN. */
int byte_file_open(struct byte_file *f, const char *path);
/* The same on bytes in memory, which are copied. */
void byte_file_open_memory(struct byte_file *f, const char *name, const void *bytes, size_t length);
void byte_file_close(struct byte_file *f); /* fine on one of zeros, and twice */
/* [offset, offset + length) lies within the file's length. Thread-safe. ERR_IO. */
int byte_file_read(const struct byte_file *f, uint64_t offset, void *bytes, size_t length);

/* Small reads of the part [begin, end), one after the other. */
struct cursor {
    const struct byte_file *file;
    const char *what; /* the part's name, put behind the path in messages; "" for the file itself */
    uint64_t begin, at, end;
    /* private */
    uint64_t window_at;
    size_t window_length;
    char window[4096];
};
void cursor_init(struct cursor *c, const struct byte_file *file, const char *what, uint64_t begin,
                 uint64_t end);
/* ERR_DATA when the part ends before. */
int cursor_read(struct cursor *c, void *bytes, size_t length);
int cursor_skip(struct cursor *c, uint64_t length);
/* Big-endian and little-endian numbers of `length` bytes, at most 8. */
int cursor_big(struct cursor *c, int length, uint64_t *value);
int cursor_little(struct cursor *c, int length, uint64_t *value);
/* Appends `length` bytes; what is absent is found out before memory is taken. */
int cursor_append(struct cursor *c, uint64_t length, struct str *s);
/* Records `PATH: WHAT @PLACE: ...`, PLACE within the part, and returns ERR_DATA; `place` as cursor->at. */
int cursor_fail(const struct cursor *c, uint64_t place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
