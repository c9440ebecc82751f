/* Files and directories in a scratch directory: contents, what is refused and in which words, what stays
 * after a failure. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "lib/child.h"
#include "lib/scratch.h"

/* `status` is what came back; the sentence must hold the path and the words. Clears the record. */
static void assert_failed(int status, int expected, const char *path, const char *words)
{
    assert_int_equal(status, expected);
    assert_int_equal(error_status(), expected);
    assert_non_null(strstr(error_message(), path));
    assert_non_null(strstr(error_message(), words));
    error_clear();
}

static void assert_content(const char *path, const char *bytes, size_t length)
{
    char buffer[4096];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(buffer, 1, sizeof(buffer), f), length);
    fclose(f);
    assert_memory_equal(buffer, bytes, length);
}

static size_t names_in(const char *directory)
{
    char **names;
    size_t count;
    assert_int_equal(directory_list(directory, &names, &count), OK);
    names_free(names, count);
    return count;
}

static void whole_files_are_read(void **state)
{
    char *path = scratch_path(state, "f"), *missing = scratch_path(state, "no/such");
    size_t large = 300001;
    char *bytes = mem_alloc(large);
    struct str s;
    str_init(&s);
    for (size_t i = 0; i < large; i++)
        bytes[i] = (char)(i * i >> 3);
    scratch_put(path, bytes, large);
    str_append(&s, "before ");
    assert_int_equal(file_read(path, 0, &s), OK);
    assert_int_equal(s.length, large + 7);
    assert_memory_equal(s.data + 7, bytes, large);
    str_clear(&s);
    assert_int_equal(file_read(path, large, &s), OK);
    assert_int_equal(s.length, large);
    str_clear(&s);
    str_append(&s, "kept");
    assert_failed(file_read(path, large - 1, &s), ERR_DATA, path, "found more than 300000 bytes");
    assert_string_equal(s.data, "kept");
    assert_int_equal(s.length, 4);
    assert_failed(file_read(missing, 0, &s), ERR_OPEN, missing, "No such file or directory");
    assert_failed(file_read(*state, 0, &s), ERR_OPEN, *state, "is a directory");
    scratch_put(path, "", 0);
    assert_int_equal(file_read(path, 1, &s), OK);
    assert_string_equal(s.data, "kept");
    str_release(&s);
    mem_free(bytes);
    mem_free(missing);
    mem_free(path);
}

static void a_dash_is_standard_input(void **state)
{
    char *path = scratch_path(state, "in");
    struct str s;
    str_init(&s);
    scratch_put(path, "a\0b\n", 4);
    int kept = dup(STDIN_FILENO), fd = open(path, O_RDONLY);
    dup2(fd, STDIN_FILENO);
    int status = file_read("-", 0, &s);
    lseek(STDIN_FILENO, 0, SEEK_SET);
    int too_large = file_read("-", 3, &s);
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(fd);
    assert_int_equal(status, OK);
    assert_int_equal(s.length, 4);
    assert_memory_equal(s.data, "a\0b\n", 4);
    assert_failed(too_large, ERR_DATA, "standard input", "too large");
    str_release(&s);
    mem_free(path);
}

static int write_dash(void)
{
    printf("first ");
    return file_write("-", "second\n", 7) == OK ? 0 : 1;
}

static int write_full_dash(void)
{
    int full = open("/dev/full", O_WRONLY);
    dup2(full, STDOUT_FILENO);
    int status = file_write("-", "x", 1);
    bool told = strstr(error_message(), "standard output: cannot write: No space left") != NULL;
    return status == ERR_IO && told ? 0 : 1;
}

static void a_dash_is_standard_output(void **state)
{
    static struct child c;
    child_run(&c, write_dash);
    assert_int_equal(c.exit_code, 0);
    assert_string_equal(c.text, "first second\n");
    child_run(&c, write_full_dash);
    assert_int_equal(c.exit_code, 0);
}

static void files_are_replaced(void **state)
{
    char *path = scratch_path(state, "f");
    struct stat info;
    assert_int_equal(file_write(path, "one", 3), OK);
    assert_content(path, "one", 3);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0666 & ~mask);
    chmod(path, 0640);
    FILE *old = fopen(path, "rb"); /* who reads the old file goes on reading it */
    assert_int_equal(file_write(path, "tw\0", 3), OK);
    assert_int_equal(fgetc(old), 'o');
    fclose(old);
    assert_content(path, "tw\0", 3);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_int_equal(file_write(path, NULL, 0), OK);
    assert_content(path, "", 0);
    assert_int_equal(names_in(*state), 1);
    mem_free(path);
}

static void links_stay_when_written_through(void **state)
{
    char *path = scratch_path(state, "target"), *link = scratch_path(state, "link");
    struct stat info;
    scratch_put(path, "old", 3);
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(file_write(link, "new", 3), OK);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_content(path, "new", 3);
    assert_int_equal(names_in(*state), 2);
    mem_free(link);
    mem_free(path);
}

static void bad_targets_are_named(void **state)
{
    char *missing = scratch_path(state, "no/such");
    assert_failed(file_write(missing, "x", 1), ERR_CREATE, missing, "No such file or directory");
    assert_failed(file_write(*state, "x", 1), ERR_CREATE, *state, "is a directory");
    mem_free(missing);
}

/* A pipe stands for all that is no file; a device would be lost to the whole machine if this went wrong. */
static void pipes_are_written_in_place(void **state)
{
    char *fifo = scratch_path(state, "fifo"), bytes[8];
    struct stat info;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int reader = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_int_equal(file_write(fifo, "through", 7), OK);
    assert_int_equal(read(reader, bytes, sizeof(bytes)), 7);
    assert_memory_equal(bytes, "through", 7);
    assert_int_equal(lstat(fifo, &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
    assert_int_equal(names_in(*state), 1);
    close(reader);
    mem_free(fifo);
}

static void **limited_state;

static int write_beyond_the_limit(void)
{
    struct rlimit r = { .rlim_cur = 1000, .rlim_max = RLIM_INFINITY };
    char bytes[3000] = { 0 };
    char *path = scratch_path(limited_state, "f");
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &r) != 0)
        return 2;
    int status = file_write(path, bytes, sizeof(bytes));
    bool told = strstr(error_message(), path) && strstr(error_message(), "File too large");
    mem_free(path);
    return status == ERR_IO && told ? 0 : 1;
}

static void a_failed_write_leaves_the_old(void **state)
{
    static struct child c;
    char *path = scratch_path(state, "f");
    scratch_put(path, "old", 3);
    limited_state = state;
    child_run(&c, write_beyond_the_limit);
    assert_int_equal(c.exit_code, 0);
    assert_content(path, "old", 3);
    assert_int_equal(names_in(*state), 1);
    mem_free(path);
}

static void *write_often(void *arg)
{
    for (int i = 0; i < 30; i++) {
        char text[1000];
        memset(text, 'a' + i % 26, sizeof(text));
        if (file_write(arg, text, sizeof(text)) != OK)
            return arg;
    }
    return NULL;
}

static void writers_of_one_file_do_not_mix(void **state)
{
    char *path = scratch_path(state, "f");
    pthread_t threads[4];
    void *failed;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, path), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    struct str s;
    str_init(&s);
    assert_int_equal(file_read(path, 0, &s), OK);
    assert_int_equal(s.length, 1000);
    assert_int_equal(strspn(s.data, (char[]){ s.data[0], '\0' }), 1000);
    assert_int_equal(names_in(*state), 1);
    str_release(&s);
    mem_free(path);
}

static void maps_show_the_file(void **state)
{
    char *path = scratch_path(state, "f"), *link = scratch_path(state, "link");
    struct file_map m;
    scratch_put(path, "con\0tent", 8);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(file_map_open(&m, link), OK);
    assert_int_equal(m.length, 8);
    assert_memory_equal(m.data, "con\0tent", 8);
    assert_int_equal(file_map_check(&m, path), OK);
    assert_int_equal(truncate(path, 7), 0);
    assert_failed(file_map_check(&m, path), ERR_IO, path, "shorter while in use (found 7 bytes, expected 8)");
    file_map_close(&m);
    assert_null(m.data);
    file_map_close(&m);
    scratch_put(path, "", 0);
    assert_int_equal(file_map_open(&m, path), OK);
    assert_int_equal(m.length, 0);
    assert_string_equal(m.data, "");
    assert_int_equal(file_map_check(&m, path), OK);
    file_map_close(&m);
    mem_free(link);
    mem_free(path);
}

static void only_regular_files_are_mapped(void **state)
{
    char *fifo = scratch_path(state, "fifo"), *missing = scratch_path(state, "missing");
    struct file_map m = { .data = "untouched" };
    int fd = -5;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    alarm(20); /* an open that waits for a writer would wait for ever */
    assert_failed(file_map_open(&m, fifo), ERR_OPEN, fifo, "not a regular file");
    assert_failed(file_open(fifo, &fd), ERR_OPEN, fifo, "not a regular file");
    alarm(0);
    assert_failed(file_map_open(&m, *state), ERR_OPEN, *state, "not a regular file");
    assert_failed(file_map_open(&m, "/dev/zero"), ERR_OPEN, "/dev/zero", "not a regular file");
    assert_failed(file_map_open(&m, missing), ERR_OPEN, missing, "No such file or directory");
    assert_string_equal(m.data, "untouched");
    assert_int_equal(fd, -5);
    mem_free(missing);
    mem_free(fifo);
}

static void descriptors_read_and_write(void **state)
{
    char *path = scratch_path(state, "f"), bytes[8] = "";
    int fd;
    assert_int_equal(file_create(path, &fd), OK);
    assert_int_equal(fd_write(fd, path, "0123456789", 10), OK);
    assert_int_equal(fd_pwrite(fd, path, "AB", 2, 4), OK);
    assert_int_equal(fd_pwrite(fd, path, "!", 1, 12), OK);
    assert_failed(fd_pwrite(fd, path, "x", 1, UINT64_MAX), ERR_IO, path, "too large");
    assert_int_equal(fd_sync(fd, path), OK);
    assert_int_equal(fd_close(fd, path), OK);
    assert_failed(fd_close(fd, path), ERR_IO, path, "Bad file descriptor");
    assert_failed(fd_write(fd, path, "x", 1), ERR_IO, path, "Bad file descriptor");
    assert_failed(file_create(path, &fd), ERR_CREATE, path, "File exists");
    assert_content(path, "0123AB6789\0\0!", 13);
    assert_int_equal(file_open(path, &fd), OK);
    assert_int_equal(fd_pread(fd, path, bytes, 4, 3), OK);
    assert_memory_equal(bytes, "3AB6", 4);
    assert_int_equal(fd_pread(fd, path, bytes, 0, 1000), OK);
    assert_failed(fd_pread(fd, path, bytes, 8, 6), ERR_IO, path, "ends at offset 13 (expected 1 more bytes)");
    assert_failed(fd_pread(fd, path, bytes, 8, UINT64_MAX - 4), ERR_IO, path, "too large");
    assert_failed(fd_pread(-1, path, bytes, 8, 0), ERR_IO, path, "Bad file descriptor");
    close(fd);
    mem_free(path);
}

static void ignore(int number)
{
}

struct drain {
    int fd;
    size_t taken, wrong;
};

static void *drain_slowly(void *arg)
{
    struct drain *d = arg;
    unsigned char buffer[1500];
    for (ssize_t n; (n = read(d->fd, buffer, sizeof(buffer))) > 0; d->taken += (size_t)n)
        for (ssize_t i = 0; i < n; i++)
            d->wrong += buffer[i] != (unsigned char)((d->taken + (size_t)i) * 7);
    return NULL;
}

/* A pipe takes what it has room for, and a timer interrupts every wait. */
static void short_and_interrupted_writes_go_on(void **state)
{
    struct itimerval often = { .it_interval = { .tv_usec = 200 }, .it_value = { .tv_usec = 200 } },
                     none = { 0 };
    struct sigaction action = { .sa_handler = ignore }, before;
    struct drain d = { 0 };
    size_t length = 3000000;
    unsigned char *bytes = mem_alloc(length);
    pthread_t thread;
    sigset_t alarms;
    int ends[2];
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(i * 7);
    assert_int_equal(pipe(ends), 0);
    d.fd = ends[0];
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms, NULL); /* the new thread inherits it: only this one is interrupted */
    assert_int_equal(pthread_create(&thread, NULL, drain_slowly, &d), 0);
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    int status = fd_write(ends[1], "pipe", bytes, length);
    setitimer(ITIMER_REAL, &none, NULL);
    sigaction(SIGALRM, &before, NULL);
    close(ends[1]);
    pthread_join(thread, NULL);
    close(ends[0]);
    assert_int_equal(status, OK);
    assert_int_equal(d.taken, length);
    assert_int_equal(d.wrong, 0);
    mem_free(bytes);
}

static void questions_are_answered(void **state)
{
    char *path = scratch_path(state, "f"), *missing = scratch_path(state, "missing");
    uint64_t bytes = 9;
    scratch_put(path, "12345", 5);
    assert_true(file_exists(path) && file_exists(*state) && !file_exists(missing));
    assert_true(file_is_directory(*state) && !file_is_directory(path) && !file_is_directory(missing));
    assert_failed(file_size(missing, &bytes), ERR_OPEN, missing, "No such file");
    assert_int_equal(bytes, 9);
    assert_int_equal(file_size(path, &bytes), OK);
    assert_int_equal(bytes, 5);
    assert_int_equal(file_rename(path, missing), OK);
    assert_content(missing, "12345", 5);
    assert_failed(file_rename(path, missing), ERR_IO, path, "No such file");
    assert_true(file_free_bytes(*state) > 0);
    assert_int_equal(file_free_bytes("/no/such/place"), 0);
    mem_free(missing);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_files_are_read, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(a_dash_is_standard_input, scratch_create, scratch_remove),
        cmocka_unit_test(a_dash_is_standard_output),
        cmocka_unit_test_setup_teardown(files_are_replaced, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(links_stay_when_written_through, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(bad_targets_are_named, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(pipes_are_written_in_place, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(writers_of_one_file_do_not_mix, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(maps_show_the_file, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(only_regular_files_are_mapped, scratch_create, scratch_remove),
        cmocka_unit_test_setup_teardown(descriptors_read_and_write, scratch_create, scratch_remove),
        cmocka_unit_test(short_and_interrupted_writes_go_on),
        cmocka_unit_test_setup_teardown(questions_are_answered, scratch_create, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
