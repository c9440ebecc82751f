#include "comm/module.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "comm/world.h"

static const char *const files[FLAVOURS] = { "plait_mpi_openmpi.so", "plait_mpi_mpich.so" };

const char *flavour_name(enum mpi_flavour f)
{
    return f == FLAVOUR_OPENMPI ? "Open MPI" : "MPICH";
}

/* The directory of the program, or of the library in somebody else's. */
static char *own_directory(void)
{
    Dl_info info;
    char *path, *directory;

    if (dladdr((void *)(uintptr_t)flavour_name, &info) == 0 || !info.dli_fname)
        return mem_strdup(".");
    path = path_resolve(strchr(info.dli_fname, '/') ? info.dli_fname : "/proc/self/exe");
    directory = path_directory(path ? path : info.dli_fname);
    mem_free(path);
    return directory;
}

/* NULL: it is not there. */
static char *find(enum mpi_flavour flavour)
{
    static const char *const places[] = { "", "/plait", "/../" PLAIT_LIBDIR "/plait" };
    const char *named = getenv("PLAIT_MPI");
    char *directory = own_directory(), *found = NULL;
    struct str path;

    str_init(&path);
    for (size_t i = 0; !found && !named && i < sizeof(places) / sizeof(places[0]); i++) {
        str_clear(&path);
        str_appendf(&path, "%s%s/%s", directory, places[i], files[flavour]);
        if (file_exists(path.data))
            found = str_detach(&path);
    }
    str_release(&path);
    mem_free(directory);
    return named ? mem_strdup(named) : found;
}

static int load(const char *path, int mode, struct loaded *out)
{
    void *symbol;
    mpi_module_fn *fn;

    out->handle = dlopen(path, mode);
    if (!out->handle)
        return fail(ERR_CONFIG, "%s: cannot be loaded: %s", path, dlerror());
    symbol = dlsym(out->handle, MPI_MODULE_FUNCTION);
    if (!symbol)
        return fail(ERR_CONFIG, "%s: is no MPI module of plait", path);
    memcpy(&fn, &symbol, sizeof(fn));
    out->module = fn();
    if (out->module->version != MPI_MODULE_VERSION)
        return fail(ERR_CONFIG, "%s: was made for another plait (found version %d, expected %d)", path,
                    out->module->version, MPI_MODULE_VERSION);
    return OK;
}

int module_load(enum mpi_flavour flavour, struct loaded *out)
{
    char *path = find(flavour);
    int status;

    if (!path) {
        fail(ERR_CONFIG, "this plait has no module for %s: %s is not beside it", flavour_name(flavour),
             files[flavour]);
        error_hint("cmake makes it where it finds %s; --world_size N alone needs no MPI",
                   flavour_name(flavour));
        return ERR_CONFIG;
    }
    status = load(path, RTLD_NOW | RTLD_GLOBAL, out); /* MPI's own plug-ins look for it */
    mem_free(path);
    return status;
}

void world_describe(struct str *out)
{
    bool any = false;

    for (int f = 0; f < FLAVOURS; f++) {
        char *path = find((enum mpi_flavour)f);
        struct loaded l;
        if (!path)
            continue;
        any = true;
        if (load(path, RTLD_LAZY | RTLD_LOCAL, &l) == OK)
            str_appendf(out, "MPI: %s (%s)\n", l.module->flavour, path);
        else
            str_appendf(out, "MPI: %s\n", error_message());
        error_clear();
        mem_free(path);
        if (getenv("PLAIT_MPI"))
            break;
    }
    if (!any)
        str_append(out, "MPI: absent, there was none when plait was built; ranks run inside one process\n");
}
