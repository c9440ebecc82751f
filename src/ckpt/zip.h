/* zip -- the entries of a ZIP archive (PKWARE's APPNOTE.TXT, with zip64), as far as torch.save writes them:
 * stored, not compressed, so that an entry is a part of the file. */
#ifndef PLAIT_CKPT_ZIP_H
#define PLAIT_CKPT_ZIP_H

#include <stddef.h>

#include "base/map.h"
#include "base/mem.h"
#include "ckpt/byte_file.h"

struct zip_entry {
    const char *name;
    uint64_t bytes; /* of its content */
    /* private */
    uint64_t header;
    int method, flags;
};

struct zip {
    const struct byte_file *file; /* borrowed */
    struct zip_entry *entries;
    size_t count;
    /* private */
    uint64_t directory; /* where the list of entries begins: their content lies before */
    struct map names;
    struct arena memory;
};

/* ERR_DATA, ERR_IO. */
int zip_open(struct zip *z, const struct byte_file *file);
void zip_close(struct zip *z);
const struct zip_entry *zip_find(const struct zip *z, const char *name); /* or NULL */
/* Where the entry's content begins in the file; ERR_DATA when it is compressed, encrypted or not there. */
int zip_locate(const struct zip *z, const struct zip_entry *e, uint64_t *begin);

#endif
