/* ---- >>socket: non-blocking sockets, as little of them as sources need ---- */
#ifndef SPIKELIB_PIPELINE_SOCKET_H
#define SPIKELIB_PIPELINE_SOCKET_H

#include "../core/base.h"

#if defined(_WIN32) && !defined(SPIKELIB_NO_SOCKETS)
#define SPIKELIB_NO_SOCKETS
#endif

#if !defined(SPIKELIB_NO_SOCKETS)
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#if defined(MSG_NOSIGNAL)
#define SPKI_SEND_FLAGS MSG_NOSIGNAL
#else
#define SPKI_SEND_FLAGS 0
#endif

/* Names are not looked up: that would wait, for seconds. */
SPKI_FN bool spki_socket_address(const char *text, uint16_t port, struct sockaddr_in *out)
{
    memset(out, 0, sizeof *out);
    out->sin_family = AF_INET;
    out->sin_port = htons(port);
    return inet_pton(AF_INET, text, &out->sin_addr) == 1;
}

SPKI_FN int spki_socket_open(bool udp)
{
    int fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0), flags;
    if (fd < 0) return -1;
    flags = fcntl(fd, F_GETFL, 0);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

SPKI_FN uint16_t spki_socket_port(int fd)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    memset(&at, 0, sizeof at);
    if (getsockname(fd, (struct sockaddr *)&at, &size) != 0) return 0;
    return ntohs(at.sin_port);
}

/* Asks for a receive buffer; returns what the system gave. */
SPKI_FN uint32_t spki_socket_buffer(int fd, uint32_t wanted)
{
    int size = (int)SPKI_MIN(wanted, (uint32_t)INT_MAX);
    socklen_t length = sizeof size;
    if (wanted) (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    size = 0;
    (void)getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &length);
    return (uint32_t)SPKI_MAX(size, 0);
}

/* 1: connected, 0: not yet, else the negative of what went wrong. */
SPKI_FN int spki_socket_connected(int fd)
{
    struct pollfd p;
    int error = 0;
    socklen_t size = sizeof error;
    p.fd = fd;
    p.events = POLLOUT;
    p.revents = 0;
    if (poll(&p, 1, 0) == 0) return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return -errno;
    return error ? -error : 1;
}

SPKI_FN bool spki_socket_would_wait(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* -- datagrams, many at a time -- */

#define SPKI_DATAGRAM 2048u /* more than an Ethernet frame holds */

typedef struct spki_datagrams {
    uint32_t most;      /* that fit */
    uint32_t wanted;    /* to be received at a time */
    uint32_t count, at; /* received, and begun */
    uint32_t *size;
    bool *cut; /* was longer than the room for it */
    unsigned char *bytes;
    uint32_t dropped; /* the kernel's count so far */
    bool counts;      /* it counts */
} spki_datagrams;

#if defined(__linux__) && defined(SYS_recvmmsg)
/* The kernel's struct mmsghdr, which strict C11 hides. */
typedef struct spki_mmsg {
    struct msghdr head;
    unsigned int size;
} spki_mmsg;

#define SPKI_AT_ONCE 32u

/* SO_RXQ_OVFL (40 in the Linux ABI): datagrams dropped since the socket was made, with each. */
#define SPKI_SO_RXQ_OVFL 40

SPKI_FN void spki_datagrams_option(spki_datagrams *d, int fd)
{
    int on = 1;
    d->counts = setsockopt(fd, SOL_SOCKET, SPKI_SO_RXQ_OVFL, &on, sizeof on) == 0;
}

SPKI_FN void spki_datagrams_count_drops(spki_datagrams *d, struct msghdr *head)
{
    struct cmsghdr *c;
    for (c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SPKI_SO_RXQ_OVFL)
            memcpy(&d->dropped, CMSG_DATA(c), sizeof d->dropped);
}

/* Up to 32 datagrams behind those that are there; false: no more now, or *error. */
SPKI_FN bool spki_datagrams_some(spki_datagrams *d, int fd, int *error)
{
    spki_mmsg m[SPKI_AT_ONCE];
    struct iovec io[SPKI_AT_ONCE];
    size_t control[SPKI_AT_ONCE][8];
    uint32_t n = SPKI_MIN(SPKI_AT_ONCE, d->wanted - d->count), k;
    long got;
    memset(m, 0, sizeof m);
    for (k = 0; k < n; k++) {
        io[k].iov_base = d->bytes + (size_t)(d->count + k) * SPKI_DATAGRAM;
        io[k].iov_len = SPKI_DATAGRAM;
        m[k].head.msg_iov = &io[k];
        m[k].head.msg_iovlen = 1;
        m[k].head.msg_control = control[k];
        m[k].head.msg_controllen = sizeof control[k];
    }
    got = spki_os_syscall(SYS_recvmmsg, fd, m, n, MSG_DONTWAIT, NULL);
    *error = got < 0 ? errno : 0;
    for (k = 0; (long)k < got; k++) {
        spki_datagrams_count_drops(d, &m[k].head);
        d->size[d->count] = m[k].size;
        d->cut[d->count++] = (m[k].head.msg_flags & MSG_TRUNC) != 0;
    }
    return got == (long)n;
}
#else
SPKI_FN void spki_datagrams_option(spki_datagrams *d, int fd)
{
    (void)fd;
    d->counts = false;
}

SPKI_FN bool spki_datagrams_some(spki_datagrams *d, int fd, int *error)
{
    struct msghdr head;
    struct iovec io;
    long got;
    memset(&head, 0, sizeof head);
    io.iov_base = d->bytes + (size_t)d->count * SPKI_DATAGRAM;
    io.iov_len = SPKI_DATAGRAM;
    head.msg_iov = &io;
    head.msg_iovlen = 1;
    got = (long)recvmsg(fd, &head, 0);
    *error = got < 0 ? errno : 0;
    if (got < 0) return false;
    d->size[d->count] = (uint32_t)got;
    d->cut[d->count++] = (head.msg_flags & MSG_TRUNC) != 0;
    return true;
}
#endif

/* Receives up to `wanted`, which doubles when as many came, and shrinks when few did. */
SPKI_FN void spki_datagrams_receive(spki_datagrams *d, int fd, int *error)
{
    d->count = d->at = 0;
    while (d->count < d->wanted && spki_datagrams_some(d, fd, error)) continue;
    if (d->count == d->wanted)
        d->wanted = SPKI_MIN(2 * d->wanted, d->most);
    else if (d->count < d->wanted / 4)
        d->wanted = SPKI_MAX(d->wanted / 2, 4u);
}
#endif

#endif
