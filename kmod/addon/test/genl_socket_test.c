/*
 * Generic netlink with this machine's kernel. Its controller is always there; the NBD family is asked for in both
 * cases, whether the module is loaded or not.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "naive_bytes.h"
#include "nbd_calls.h"
#include "nbd_watch.h"

/* NBD_CMD_STATUS */
#define STATUS 5

static void test_family_that_is_there(void)
{
	struct bf_failure failure;
	struct bf_family family;
	struct bf_genl genl;

	assert(bf_genl_open(&genl, &failure) == 0);
	/* GENL_ID_CTRL: the only number that is the same everywhere. */
	assert(bf_genl_find(&genl, "nlctrl", "notify", &family, &failure) == 0);
	assert(family.id == 16 && family.group != 0);
	assert(bf_genl_find(&genl, "nlctrl", "no such group", &family, &failure) == 0);
	assert(family.id == 16 && family.group == 0);
	assert(bf_genl_join(&genl, 0, &failure) != 0 && failure.error == EINVAL);
	bf_genl_close(&genl);
}

static void test_family_that_is_not(void)
{
	struct bf_failure failure;
	struct bf_family family;
	struct bf_genl genl;
	char name[200];

	assert(bf_genl_open(&genl, &failure) == 0);
	assert(bf_genl_find(&genl, "blkferry-none", "", &family, &failure) != 0);
	assert(failure.error == ENOENT && strcmp(failure.call, "CTRL_CMD_GETFAMILY") == 0);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert(bf_genl_find(&genl, name, "", &family, &failure) != 0 && failure.error == EMSGSIZE);
	bf_genl_close(&genl);
}

/* A command that there is not: the refusal has the caller's name, and is the end of the conversation. */
static void test_refusal(void)
{
	unsigned char request[64];
	struct bf_failure failure;
	struct bf_message message;
	struct bf_genl genl;
	size_t length;

	assert(bf_genl_open(&genl, &failure) == 0);
	bf_message_begin(&message, request, sizeof(request), GENL_ID_CTRL, 200, 1);
	length = bf_message_end(&message);
	assert(bf_genl_ask(&genl, "SOMETHING", request, length, NULL, NULL, &failure) != 0);
	assert(failure.error == EOPNOTSUPP && strcmp(failure.call, "SOMETHING") == 0);
	/* The kernel's own words: no family can have such a name. */
	bf_message_begin(&message, request, sizeof(request), GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	bf_put_text(&message, CTRL_ATTR_FAMILY_NAME, "a name that is longer than any");
	length = bf_message_end(&message);
	assert(bf_genl_ask(&genl, "SOMETHING", request, length, NULL, NULL, &failure) != 0);
	assert(failure.error > 0 && strstr(failure.words, "policy") != NULL);
	bf_genl_close(&genl);
}

/* Everybody may send to a port; only what the kernel says counts. */
static void test_foreign_sender(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	socklen_t address_length = sizeof(address);
	struct naive forged = { 0 };
	struct bf_reader datagram;
	struct bf_failure failure;
	struct bf_family family;
	struct bf_genl genl;
	int sender = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	assert(sender >= 0 && bf_genl_open(&genl, &failure) == 0);
	assert(getsockname(genl.fd, (struct sockaddr *)&address, &address_length) == 0);
	/* An acknowledgement of the first request: "done". */
	add32(&forged, 36), add16(&forged, NLMSG_ERROR), add16(&forged, 0), add32(&forged, 1), add32(&forged, 0);
	for (int word = 0; word < 5; word++)
		add32(&forged, 0);
	if (sendto(sender, forged.bytes, forged.length, 0, (struct sockaddr *)&address, sizeof(address)) < 0) {
		assert(errno == EPERM);
		puts("genl_socket: not tried here, forged answers: sending them needs CAP_NET_ADMIN");
	} else {
		assert(bf_genl_poll(&genl, &datagram) == 0);
		assert(sendto(sender, forged.bytes, forged.length, 0, (struct sockaddr *)&address,
			      sizeof(address)) > 0);
	}
	assert(bf_genl_find(&genl, "nlctrl", "notify", &family, &failure) == 0 && family.id == 16);
	close(sender);
	bf_genl_close(&genl);
}

static void test_status(void)
{
	const struct bf_nbd_settings all = { 0 };
	struct bf_nbd_result result;
	struct bf_failure failure;

	if (bf_nbd_call(STATUS, &all, &result, &failure) != 0) {
		assert(failure.error == ENOENT && strcmp(failure.call, "CTRL_CMD_GETFAMILY") == 0);
		puts("genl_socket: not tried here, the NBD family: the module is not loaded");
	}
	free(result.devices.list);
}

static void never(void *context, uint32_t index)
{
	(void)context;
	(void)index;
	abort();
}

/* The thread ends when it is told to, also while it sleeps; a group that has nothing to say stands for the other. */
static void test_watch_ends(void)
{
	for (int round = 0; round < 100; round++) {
		struct bf_nbd_watch watch = { .end = eventfd(0, EFD_CLOEXEC) };
		struct bf_failure failure;
		struct bf_family family;

		assert(watch.end >= 0 && bf_genl_open(&watch.genl, &failure) == 0);
		assert(bf_genl_find(&watch.genl, "nlctrl", "notify", &family, &failure) == 0);
		assert(bf_genl_join(&watch.genl, family.group, &failure) == 0);
		assert(bf_nbd_watch_begin(&watch, never, NULL) == 0);
		if (round % 2 == 0)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		bf_nbd_watch_end(&watch);
		assert(watch.end == -1 && watch.genl.fd == -1);
	}
}

static void test_watch_without_family(void)
{
	struct bf_nbd_watch watch;
	struct bf_failure failure;

	if (bf_nbd_watch_open(&watch, &failure) == 0)
		bf_nbd_watch_close(&watch);
	else
		assert(failure.error == ENOENT && strcmp(failure.call, "CTRL_CMD_GETFAMILY") == 0);
}

int main(void)
{
	test_family_that_is_there();
	test_family_that_is_not();
	test_refusal();
	test_foreign_sender();
	test_status();
	test_watch_ends();
	test_watch_without_family();
	puts("genl_socket: all assertions held");
	return 0;
}
