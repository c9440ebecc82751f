#include "data/nameless.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

int nameless_create(const char *directory, int *fd)
{
    TRY(directory_create(directory));
    char *name = path_join(directory, ".plait-XXXXXX");
    int made = mkostemp(name, O_CLOEXEC), reason = errno;
    if (made >= 0)
        unlink(name);
    mem_free(name);
    if (made < 0)
        return fail(ERR_CREATE, "%s: cannot create a file in it: %s", directory, strerror(reason));
    *fd = made;
    return OK;
}
