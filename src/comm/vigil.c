#include "comm/vigil.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "comm/watch.h"

struct vigil {
    pthread_t thread;
    pthread_mutex_t mutex; /* of `over` */
    pthread_cond_t changed;
    bool over;
    void (*tell)(int status);
    pid_t stopped; /* what the last look has found; 0: none */
    int looks;     /* one a second that have found it: time goes on where this process is stopped too */
};

/* ---- looking ---- */

struct family {    /* processes of one parent */
    pid_t stopped; /* one of those that are; 0: none */
    pid_t first;   /* the lowest number of the others */
};

static bool read_state(pid_t pid, char *state, pid_t *parent)
{
    char path[64];
    const char *end;
    struct str text;
    bool found;
    int up;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    str_init(&text);
    found = file_read(path, 4096, &text) == OK;
    end = found ? strrchr(text.data, ')') : NULL; /* a name may hold anything */
    found = end && sscanf(end + 1, " %c %d", state, &up) == 2;
    if (found)
        *parent = up;
    str_release(&text);
    error_clear(); /* it has ended meanwhile */
    return found;
}

static void look(struct family *f)
{
    DIR *all = opendir("/proc");
    struct dirent *e;
    pid_t mine = getppid(), parent;
    char state;

    *f = (struct family){ .first = getpid() };
    while (all && (e = readdir(all)) != NULL) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid <= 0 || !read_state(pid, &state, &parent) || parent != mine)
            continue;
        if (state == 'T')
            f->stopped = pid;
        else if (pid < f->first)
            f->first = pid;
    }
    if (all)
        closedir(all);
}

/* ---- telling ---- */

/* Of another process, as its launcher has told it; -1: it is not told. */
static int rank_of(pid_t pid)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_RANK=", "PMI_RANK=", "PMIX_RANK=",
                                         "SLURM_PROCID=" };
    char path[64];
    struct str text;
    int rank = -1;

    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    str_init(&text);
    if (file_read(path, 1 << 24, &text) == OK)
        for (size_t at = 0; at < text.length && rank < 0; at += strlen(text.data + at) + 1)
            for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && rank < 0; i++)
                if (strncmp(text.data + at, names[i], strlen(names[i])) == 0)
                    rank = (int)strtol(text.data + at + strlen(names[i]), NULL, 10);
    error_clear();
    str_release(&text);
    return rank;
}

/* The launcher sees one of its processes killed, and ends the others. */
static void end_all(const struct vigil *v, pid_t stopped)
{
    char host[64] = "?";

    gethostname(host, sizeof(host) - 1);
    fail(ERR_STOPPED, "rank %d on %s (process %d) has stood still for %.0f seconds while starting",
         rank_of(stopped), host, (int)stopped, watch_limit());
    v->tell(ERR_STOPPED);
    kill(stopped, SIGKILL);
    kill(getpid(), SIGKILL);
}

static void look_again(struct vigil *v)
{
    struct family f;

    look(&f);
    v->looks = f.stopped > 0 && f.stopped == v->stopped ? v->looks + 1 : 0;
    v->stopped = f.stopped;
    if (v->looks > watch_limit() && f.first == getpid())
        end_all(v, f.stopped);
}

/* ---- the thread ---- */

static void *run(void *context)
{
    struct vigil *v = context;
    struct timespec next;

    pthread_mutex_lock(&v->mutex);
    while (!v->over) {
        clock_gettime(CLOCK_REALTIME, &next);
        next.tv_sec++;
        if (pthread_cond_timedwait(&v->changed, &v->mutex, &next) == ETIMEDOUT && !v->over)
            look_again(v);
    }
    pthread_mutex_unlock(&v->mutex);
    return NULL;
}

struct vigil *vigil_begin(void (*tell)(int status))
{
    struct vigil *v;

    if (watch_limit() <= 0)
        return NULL;
    v = mem_alloc(sizeof(*v));
    v->tell = tell;
    pthread_mutex_init(&v->mutex, NULL);
    pthread_cond_init(&v->changed, NULL);
    if (pthread_create(&v->thread, NULL, run, v) == 0)
        return v;
    mem_free(v);
    return NULL;
}

void vigil_end(struct vigil *v)
{
    if (!v)
        return;
    pthread_mutex_lock(&v->mutex);
    v->over = true;
    pthread_cond_signal(&v->changed);
    pthread_mutex_unlock(&v->mutex);
    pthread_join(v->thread, NULL);
    pthread_mutex_destroy(&v->mutex);
    pthread_cond_destroy(&v->changed);
    mem_free(v);
}
