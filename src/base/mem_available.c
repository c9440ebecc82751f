/* How much memory is left. Linux tells in pieces: /proc/meminfo for the machine, the control groups (v1 and
 * v2) for containers and batch jobs, a limit on address space for the shell, and Slurm's own word for the
 * node. What a control group counts as use includes cached file pages that it gives up under pressure, so
 * those are not counted here. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

enum { PATH_BYTES = 4096, LINE_BYTES = 4200 };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t left(uint64_t limit, uint64_t used)
{
    return limit > used ? limit - used : 0;
}

/* The number behind `name` in a file of lines "name 123" or "name: 123 kB" (with name NULL, the file's only
 * word); UINT64_MAX when the file or the line is not there, or it says "max". */
static uint64_t read_number(const char *path, const char *name)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return UINT64_MAX;
    uint64_t result = UINT64_MAX;
    size_t length = name ? strlen(name) : 0;
    char line[256];
    while (result == UINT64_MAX && fgets(line, sizeof(line), f)) {
        if (name && (strncmp(line, name, length) != 0 || !strchr(": \t", line[length])))
            continue;
        char *digits = line + length + strspn(line + length, ": \t");
        if (*digits < '0' || *digits > '9')
            continue;
        char *rest;
        result = strtoull(digits, &rest, 10);
        if (strncmp(rest, " kB", 3) == 0)
            result = result > UINT64_MAX / 1024 ? UINT64_MAX : result * 1024;
    }
    fclose(f);
    return result;
}

static uint64_t read_in(const char *directory, const char *file, const char *name)
{
    char path[PATH_BYTES + 64];
    int length = snprintf(path, sizeof(path), "%s/%s", directory, file);
    return length < (int)sizeof(path) ? read_number(path, name) : UINT64_MAX;
}

struct group_files {
    const char *limit, *used, *cache;
};
static const struct group_files version_1 = { "memory.limit_in_bytes", "memory.usage_in_bytes",
                                              "total_inactive_file" };
static const struct group_files version_2 = { "memory.max", "memory.current", "inactive_file" };

/* The least that is left in the group at `path` below `base` and in every group above it. Inside a container
 * the path may name what only the host can see; then the levels that are there count. */
static uint64_t group_left(const char *base, const char *path, const struct group_files *files)
{
    char directory[PATH_BYTES];
    size_t base_length = strlen(base);
    if (snprintf(directory, sizeof(directory), "%s%s", base, path) >= (int)sizeof(directory))
        return UINT64_MAX;
    uint64_t result = UINT64_MAX;
    for (;;) {
        uint64_t limit = read_in(directory, files->limit, NULL);
        uint64_t used = read_in(directory, files->used, NULL);
        uint64_t cache = read_in(directory, "memory.stat", files->cache);
        if (limit != UINT64_MAX && used != UINT64_MAX)
            result = least(result, left(limit, cache != UINT64_MAX ? left(used, cache) : used));
        char *slash = strrchr(directory, '/');
        if (!slash || (size_t)(slash - directory) < base_length)
            return result;
        *slash = '\0';
    }
}

/* Lines of /proc/self/cgroup: "ID:CONTROLLERS:PATH"; version 2 has ID 0 and no controllers. */
static uint64_t groups_left(const char *root)
{
    char path[PATH_BYTES], base[PATH_BYTES], line[LINE_BYTES];
    uint64_t result = UINT64_MAX;
    if (snprintf(path, sizeof(path), "%s/proc/self/cgroup", root) >= (int)sizeof(path))
        return result;
    FILE *f = fopen(path, "re");
    if (!f)
        return result;
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = *group++ = '\0';
        if (strcmp(group, "/") == 0)
            *group = '\0';
        bool old = false;
        for (char *word = controllers; word; word = strchr(word, ','), word = word ? word + 1 : NULL)
            old = old || (strncmp(word, "memory", 6) == 0 && (word[6] == ',' || word[6] == '\0'));
        if (!old && *controllers)
            continue;
        snprintf(base, sizeof(base), "%s/sys/fs/cgroup%s", root, old ? "/memory" : "");
        result = least(result, group_left(base, group, old ? &version_1 : &version_2));
    }
    fclose(f);
    return result;
}

uint64_t mem_available_at(const char *root)
{
    char path[PATH_BYTES];
    uint64_t result = groups_left(root);
    if (snprintf(path, sizeof(path), "%s/proc/meminfo", root) < (int)sizeof(path))
        result = least(result, read_number(path, "MemAvailable"));
    return result;
}

/* Pages in column `column` of /proc/self/statm (0 address space, 1 resident), in bytes. Takes no memory. */
static uint64_t own_pages(int column)
{
    char text[128];
    unsigned long long pages[2];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    if (sscanf(text, "%llu %llu", &pages[0], &pages[1]) != 2)
        return 0;
    return pages[column] * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t mem_available(void)
{
    uint64_t result = mem_available_at("");
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
        result = least(result, left(space.rlim_cur, own_pages(0)));
    const char *slurm = getenv("SLURM_MEM_PER_NODE"); /* in MiB; 0 is "all" */
    if (slurm) {
        uint64_t limit = strtoull(slurm, NULL, 10);
        if (limit && limit < UINT64_MAX >> 20)
            result = least(result, left(limit << 20, mem_resident()));
    }
    return result;
}

uint64_t mem_peak_resident(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (uint64_t)usage.ru_maxrss * 1024;
}

uint64_t mem_resident(void)
{
    return own_pages(1);
}
