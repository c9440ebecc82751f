/* Standard input of processes: a launcher gives it to the first one alone. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "comm/world.h"

enum { PIECE = 1 << 20 };

/* The first rank's text, in pieces, to the end of everybody's file. */
static int share_text(const struct world *w, const struct str *text, int fd)
{
    uint64_t length = text->length;
    char *piece = mem_alloc(PIECE);
    int status = world_share(w, &length, sizeof(length));

    for (uint64_t at = 0; status == OK && at < length; at += PIECE) {
        size_t n = length - at < PIECE ? (size_t)(length - at) : PIECE;
        if (w->rank == 0)
            memcpy(piece, text->data + at, n);
        status = world_share(w, piece, n);
        if (status == OK)
            status = fd_write(fd, "standard input", piece, n);
    }
    mem_free(piece);
    return status;
}

int world_share_input(const struct world *w)
{
    struct str text;
    int fd, status = OK;

    if (!w || !w->comm)
        return OK;
    fd = memfd_create("standard input", MFD_CLOEXEC);
    if (fd < 0)
        return fail(ERR_SYSTEM, "standard input: no memory to keep it in");
    str_init(&text);
    if (w->rank == 0)
        status = file_read("-", 0, &text);
    if (status == OK)
        status = share_text(w, &text, fd);
    if (status == OK && (lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) < 0))
        status = fail(ERR_SYSTEM, "standard input: cannot be given to rank %d", w->rank);
    str_release(&text);
    close(fd);
    return status;
}
