#include "comm/lifeline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CONNECT_MS = 500, ANSWER_MS = 2000, HELLO_US = 200000, ALIVE_AFTER = 60 /* s */ };

static const char goodbye = 'B';

struct hello {
    uint64_t token;
    int32_t rank, unused;
};

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

/* What lies between the two shall not forget a connection on which nothing is said. */
static void keep_alive(int fd)
{
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, ALIVE_AFTER);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, ALIVE_AFTER);
}

static int nowhere(int fd)
{
    close(fd);
    return -1;
}

/* ---- the first rank ---- */

static void add_addresses(struct lifeline_door *door, const struct ifaddrs *list, bool loopback, int *count)
{
    for (const struct ifaddrs *i = list; i && *count < LIFELINE_ADDRESSES; i = i->ifa_next) {
        struct sockaddr_in found;
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) ||
            loopback != !!(i->ifa_flags & IFF_LOOPBACK))
            continue;
        memcpy(&found, i->ifa_addr, sizeof(found));
        door->address[(*count)++] = found.sin_addr.s_addr;
    }
}

/* That of this host alone comes last: it is for hosts that are one machine. */
static void find_addresses(struct lifeline_door *door)
{
    struct ifaddrs *list;
    int count = 0;

    if (getifaddrs(&list) != 0)
        return;
    add_addresses(door, list, false, &count);
    add_addresses(door, list, true, &count);
    freeifaddrs(list);
}

int lifeline_open(struct lifeline_door *door)
{
    struct sockaddr_in any = { .sin_family = AF_INET };
    socklen_t bytes = sizeof(any);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memset(door, 0, sizeof(*door));
    if (fd < 0)
        return -1;
    if (getrandom(&door->token, sizeof(door->token), GRND_NONBLOCK) != sizeof(door->token) ||
        bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&any, &bytes) != 0)
        return nowhere(fd);
    find_addresses(door);
    door->port = ntohs(any.sin_port);
    return fd;
}

int lifeline_accept(int listener, const struct lifeline_door *door, int *rank)
{
    struct timeval patience = { .tv_usec = HELLO_US };
    uint64_t answer = ~door->token;
    struct hello hello;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (recv(fd, &hello, sizeof(hello), MSG_WAITALL) != sizeof(hello) || hello.token != door->token ||
        send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
        return nowhere(fd);
    keep_alive(fd);
    *rank = hello.rank;
    return fd;
}

/* ---- the others ---- */

static bool await(int fd, short event, int stop, int ms)
{
    struct pollfd fds[] = { { .fd = fd, .events = event }, { .fd = stop, .events = POLLIN } };

    return poll(fds, 2, ms) > 0 && fds[1].revents == 0;
}

static bool is_connected(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0;
}

static int knock(const struct lifeline_door *door, uint32_t address, int rank, int stop)
{
    const struct hello hello = { .token = door->token, .rank = rank };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)door->port) };
    uint64_t answer = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    to.sin_addr.s_addr = address;
    if ((connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS) ||
        !await(fd, POLLOUT, stop, CONNECT_MS) || !is_connected(fd) ||
        send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello))
        return nowhere(fd);
    if (!await(fd, POLLIN, stop, ANSWER_MS) || recv(fd, &answer, sizeof(answer), 0) != sizeof(answer) ||
        answer != ~door->token) {
        lifeline_leave(fd); /* it may yet be let in, and is not to be missed */
        return -1;
    }
    keep_alive(fd);
    return fd;
}

int lifeline_join(const struct lifeline_door *door, int rank, int stop)
{
    int fd = -1;

    for (int i = 0; door->port > 0 && i < LIFELINE_ADDRESSES && door->address[i] && fd < 0; i++)
        fd = knock(door, door->address[i], rank, stop);
    return fd;
}

/* ---- both ---- */

enum lifeline_state lifeline_look(int fd)
{
    char said[16];
    ssize_t n = recv(fd, said, sizeof(said), MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return LIFELINE_CUT;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? LIFELINE_HERE : LIFELINE_LEFT;
}

void lifeline_leave(int fd)
{
    ssize_t ignored = send(fd, &goodbye, 1, MSG_NOSIGNAL | MSG_DONTWAIT);

    (void)ignored;
    close(fd);
}
