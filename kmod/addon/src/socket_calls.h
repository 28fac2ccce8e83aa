/*
 * What Node cannot do with sockets: a pair of which one end is given away, datagrams to a unix socket, the
 * question whether the other end is there, without reading what it has sent, and a second descriptor.
 * Plain C without Node in it. Each returns 0 on success and -errno on failure.
 */
#ifndef BLKFERRY_SOCKET_CALLS_H
#define BLKFERRY_SOCKET_CALLS_H

#include <stddef.h>

/* socketpair(2): AF_UNIX streams, close-on-exec; the second does not block. */
int bf_socket_pair(int ends[2]);

/* An address of the family has no room for longer ones (unix(7)), its zero at the end or beginning included. */
#define BF_SOCKET_PATH_SIZE 108

/*
 * One datagram, never waiting: -EAGAIN if the receiver has no room now. A path that begins with "@" is an abstract name.
 * `call` becomes the system call that failed.
 */
int bf_send_datagram(const char *path, const void *bytes, size_t length, const char **call);

/*
 * 1 if the other end of a stream is closed, also while data of it is unread; else 0. Over TCP an end that will only
 * send nothing more looks the same and counts; on a unix socket it does not.
 */
int bf_has_hung_up(int fd);

/* fcntl(2) F_DUPFD_CLOEXEC: another descriptor of the same open socket or file, which is returned. */
int bf_duplicate(int fd);

#endif
