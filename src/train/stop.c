#include "train/stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

enum { ECHO_MILLISECONDS = 1000 }; /* launchers and terminals often send the same signal twice */

struct stop {
    sigset_t watched, before;
    int signals, quit; /* descriptors; -1: no signals are watched for */
    pthread_t thread;
    _Atomic int caught;         /* signal number; 0: none */
    double limit, end, reserve; /* limit: monotonic time; end: calendar time; 0: none */
};

static const struct {
    int number;
    const char *name;
} signals[] = { { SIGINT, "SIGINT" }, { SIGTERM, "SIGTERM" }, { SIGUSR1, "SIGUSR1" }, { SIGHUP, "SIGHUP" } };
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

static void find_watched(sigset_t *set)
{
    sigemptyset(set);
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(signals[i].number, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(set, signals[i].number);
    }
}

/* False when it is time to leave. */
static bool wait_for(struct stop *s, int milliseconds)
{
    struct pollfd fds[] = { { .fd = s->signals, .events = POLLIN }, { .fd = s->quit, .events = POLLIN } };
    struct signalfd_siginfo info;
    double until = clock_seconds() + milliseconds / 1000.0;

    while (!(fds[1].revents & POLLIN)) {
        double left = until - clock_seconds();
        if (milliseconds >= 0 && left <= 0)
            return true;
        fds[0].revents = 0;
        if (poll(fds, 2, milliseconds < 0 ? -1 : (int)(left * 1000) + 1) < 0 && errno != EINTR)
            return false;
        if (!(fds[0].revents & POLLIN) || read(s->signals, &info, sizeof(info)) != sizeof(info))
            continue;
        if (milliseconds < 0) {
            s->caught = (int)info.ssi_signo;
            return true;
        }
    }
    return false;
}

static void *watch(void *context)
{
    struct stop *s = context;
    struct pollfd quit = { .fd = s->quit, .events = POLLIN };

    if (!wait_for(s, -1) || !wait_for(s, ECHO_MILLISECONDS))
        return NULL;
    pthread_sigmask(SIG_UNBLOCK, &s->watched, NULL); /* the next one finds this thread and acts as ever */
    while (poll(&quit, 1, -1) < 0 && errno == EINTR)
        ;
    return NULL;
}

struct stop *stop_create_limit(void)
{
    struct stop *s = mem_alloc(sizeof(*s));
    const char *end = getenv("SLURM_JOB_END_TIME");

    s->end = end ? strtod(end, NULL) : 0;
    s->signals = s->quit = -1;
    return s;
}

int stop_create(struct stop **out)
{
    struct stop *s = stop_create_limit();
    int status = OK;

    find_watched(&s->watched);
    pthread_sigmask(SIG_BLOCK, &s->watched, &s->before);
    s->signals = signalfd(-1, &s->watched, SFD_CLOEXEC | SFD_NONBLOCK);
    s->quit = eventfd(0, EFD_CLOEXEC);
    if (s->signals < 0 || s->quit < 0)
        status = fail(ERR_SYSTEM, "cannot watch for signals: %s", strerror(errno));
    else if (pthread_create(&s->thread, NULL, watch, s) != 0)
        status = fail(ERR_SYSTEM, "cannot start a thread that watches for signals");
    if (status == OK) {
        *out = s;
        return OK;
    }
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
    if (s->signals >= 0)
        close(s->signals);
    if (s->quit >= 0)
        close(s->quit);
    mem_free(s);
    return status;
}

void stop_free(struct stop *s)
{
    uint64_t one = 1;

    if (!s)
        return;
    if (s->quit < 0) {
        mem_free(s);
        return;
    }
    while (write(s->quit, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(s->thread, NULL);
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
    close(s->signals);
    close(s->quit);
    mem_free(s);
}

void stop_set_limit(struct stop *s, double seconds)
{
    double begun = s->quit < 0 ? 0 : clock_since_exec();

    s->limit = seconds > 0 ? clock_seconds() + seconds - begun : 0;
}

void stop_set_reserve(struct stop *s, double seconds)
{
    s->reserve = seconds;
}

const char *stop_reason(struct stop *s)
{
    enum { SLURM_RESERVE = 60 }; /* Slurm is up to so much early */
    int caught;

    if (!s)
        return NULL;
    caught = s->caught;
    for (int i = 0; i < SIGNALS; i++)
        if (signals[i].number == caught)
            return signals[i].name;
    if (s->limit != 0 && clock_seconds() + s->reserve >= s->limit)
        return "max_runtime is over";
    if (s->end > 0 && clock_calendar() + s->reserve + SLURM_RESERVE >= s->end)
        return "the Slurm job is about to end";
    return NULL;
}
