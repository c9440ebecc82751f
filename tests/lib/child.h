/* child -- runs a function in a child process and keeps how it ended and what it wrote, for tests of what
 * ends a process or writes to stderr. */
#ifndef PLAIT_TESTS_CHILD_H
#define PLAIT_TESTS_CHILD_H

struct child {
    int exit_code;    /* -1: a signal ended it */
    int signal;       /* 0: none */
    char text[65536]; /* stdout and stderr, cut to fit, NUL-terminated */
};

/* `run` returns the exit code. The child is given ten seconds. */
void child_run(struct child *c, int (*run)(void));

#endif
