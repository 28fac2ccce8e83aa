#define _GNU_SOURCE

#include "nbd_watch.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/nbd-netlink.h>

#include "nbd_message.h"
#include "quiet_thread.h"

int bf_nbd_watch_open(struct bf_nbd_watch *watch, struct bf_failure *failure)
{
	struct bf_family family;

	*watch = (struct bf_nbd_watch){ .end = -1 };
	if (bf_genl_open(&watch->genl, failure) != 0)
		return -1;
	watch->end = eventfd(0, EFD_CLOEXEC);
	if (watch->end < 0) {
		*failure = (struct bf_failure){ .error = errno, .call = "eventfd" };
	} else if (bf_genl_find(&watch->genl, NBD_GENL_FAMILY_NAME, NBD_GENL_MCAST_GROUP_NAME, &family,
				failure) == 0 &&
		   bf_genl_join(&watch->genl, family.group, failure) == 0) {
		watch->family = family.id;
		return 0;
	}
	bf_nbd_watch_close(watch);
	return -1;
}

void bf_nbd_watch_close(struct bf_nbd_watch *watch)
{
	bf_genl_close(&watch->genl);
	if (watch->end >= 0)
		close(watch->end);
	watch->end = -1;
}

static void tell(struct bf_nbd_watch *watch, struct bf_reader datagram)
{
	struct bf_answer answer;
	uint8_t command;
	uint32_t index;

	while (bf_next_answer(&datagram, &answer) == 1) {
		if (answer.type != watch->family || bf_take_command(&answer.payload, &command) != 0)
			continue;
		if (command == NBD_CMD_LINK_DEAD && bf_parse_nbd_index(answer.payload, &index) == 0)
			watch->link_dead(watch->context, index);
	}
}

static void *listen_until_end(void *argument)
{
	struct bf_nbd_watch *watch = argument;
	struct pollfd sources[] = {
		{ .fd = watch->genl.fd, .events = POLLIN },
		{ .fd = watch->end, .events = POLLIN },
	};

	for (;;) {
		struct bf_reader datagram;
		int more;

		if (poll(sources, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (sources[1].revents != 0)
			return NULL;
		more = bf_genl_poll(&watch->genl, &datagram);
		/* ENOBUFS: the kernel dropped some; reading clears it. */
		if (more < 0 && more != -ENOBUFS && more != -EMSGSIZE)
			return NULL;
		if (more == 1)
			tell(watch, datagram);
	}
}

int bf_nbd_watch_begin(struct bf_nbd_watch *watch, bf_link_dead *link_dead, void *context)
{
	int error;

	watch->link_dead = link_dead;
	watch->context = context;
	error = bf_start_thread(&watch->thread, false, listen_until_end, watch);
	if (error != 0)
		bf_nbd_watch_close(watch);
	return error;
}

void bf_nbd_watch_end(struct bf_nbd_watch *watch)
{
	/* Nobody else writes to it, so it cannot be full. */
	eventfd_write(watch->end, 1);
	pthread_join(watch->thread, NULL);
	bf_nbd_watch_close(watch);
}
