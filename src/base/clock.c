#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double clock_seconds(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double clock_calendar(void)
{
    return seconds_of(CLOCK_REALTIME);
}

/* Field 22 of /proc/self/stat: the start in ticks since boot. Field 2, the name, may hold blanks and
 * brackets; the last ')' ends it. */
double clock_since_exec(void)
{
    char line[1024];
    FILE *f = fopen("/proc/self/stat", "re");
    if (!f)
        return 0;
    size_t length = fread(line, 1, sizeof(line) - 1, f);
    fclose(f);
    line[length] = '\0';
    const char *rest = strrchr(line, ')');
    unsigned long long start;
    if (!rest ||
        sscanf(rest + 1, " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
               &start) != 1)
        return 0;
    double age = seconds_of(CLOCK_BOOTTIME) - (double)start / (double)sysconf(_SC_CLK_TCK);
    return age > 0 ? age : 0;
}
