#define _GNU_SOURCE

#include "socket_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == BF_SOCKET_PATH_SIZE, "unix(7)");

int bf_socket_pair(int ends[2])
{
	int flags, error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return -errno;
	flags = fcntl(ends[1], F_GETFL);
	if (flags >= 0 && fcntl(ends[1], F_SETFL, flags | O_NONBLOCK) == 0)
		return 0;
	error = errno;
	close(ends[0]);
	close(ends[1]);
	return -error;
}

int bf_send_datagram(const char *path, const void *bytes, size_t length, const char **call)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const size_t path_length = strlen(path);
	socklen_t address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);
	int fd, error = 0;

	*call = "sendto";
	if (path_length == 0 || path_length >= BF_SOCKET_PATH_SIZE)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, path_length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	else
		address_length++;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		*call = "socket";
		return -errno;
	}
	while (sendto(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address,
		      address_length) < 0) {
		if (errno == EINTR)
			continue;
		error = errno;
		break;
	}
	close(fd);
	return -error;
}

int bf_has_hung_up(int fd)
{
	struct pollfd asked = { .fd = fd, .events = POLLRDHUP };
	int domain, count;
	socklen_t length = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0)
		return -errno;
	if (domain == AF_UNIX)
		asked.events = 0;
	while ((count = poll(&asked, 1, 0)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return count > 0;
}

int bf_duplicate(int fd)
{
	const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}
