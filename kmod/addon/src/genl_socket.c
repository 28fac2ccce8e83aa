#define _GNU_SOURCE

#include "genl_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

/* The longest attribute has 64 KiB, a list of all devices; this leaves room for whatever comes with it. */
#define DATAGRAM_SIZE (128 * 1024)

/* Answers are there when send(2) returns; what is not there by then was lost in a kernel without memory. */
#define ANSWER_TIMEOUT_SECONDS 10

/* A request has two answers or three. This ends a conversation that would never end otherwise. */
#define ANSWERS_MAX 4096

#define FAMILY_REQUEST_SIZE 128

static int fail(struct bf_failure *failure, int error, const char *call, const char *words)
{
	failure->error = error;
	failure->call = call;
	snprintf(failure->words, sizeof(failure->words), "%s", words);
	return -1;
}

/* Without these the kernel says less, or repeats our request to us; kernels before 4.12 know only one of them. */
static void ask_for_words(int fd)
{
	const int yes = 1;

	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof(yes));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &yes, sizeof(yes));
}

int bf_genl_open(struct bf_genl *genl, struct bf_failure *failure)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_SECONDS };

	*genl = (struct bf_genl){ .fd = -1, .datagram = malloc(DATAGRAM_SIZE) };
	if (genl->datagram == NULL)
		return fail(failure, ENOMEM, "malloc", "");
	genl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (genl->fd < 0) {
		fail(failure, errno, "socket", "");
	} else if (bind(genl->fd, (const struct sockaddr *)&any, sizeof(any)) != 0) {
		fail(failure, errno, "bind", "");
	} else if (setsockopt(genl->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0) {
		fail(failure, errno, "setsockopt", "");
	} else {
		ask_for_words(genl->fd);
		return 0;
	}
	bf_genl_close(genl);
	return -1;
}

void bf_genl_close(struct bf_genl *genl)
{
	if (genl->fd >= 0)
		close(genl->fd);
	free(genl->datagram);
	*genl = (struct bf_genl){ .fd = -1 };
}

/* One datagram of the kernel's: 0, or -errno. Those of other senders are passed over: everybody may write to a port. */
static int receive(struct bf_genl *genl, int flags, struct bf_reader *datagram)
{
	for (;;) {
		struct sockaddr_nl sender = { 0 };
		struct iovec place = { .iov_base = genl->datagram, .iov_len = DATAGRAM_SIZE };
		struct msghdr header = {
			.msg_name = &sender,
			.msg_namelen = sizeof(sender),
			.msg_iov = &place,
			.msg_iovlen = 1,
		};
		ssize_t length = recvmsg(genl->fd, &header, flags);

		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return -errno;
		if (header.msg_namelen != sizeof(sender) || sender.nl_pid != 0)
			continue;
		if (header.msg_flags & MSG_TRUNC)
			return -EMSGSIZE;
		*datagram = (struct bf_reader){ genl->datagram, (size_t)length };
		return 0;
	}
}

int bf_genl_poll(struct bf_genl *genl, struct bf_reader *datagram)
{
	int error = receive(genl, MSG_DONTWAIT, datagram);

	if (error == -EAGAIN || error == -EWOULDBLOCK)
		return 0;
	return error == 0 ? 1 : error;
}

static int send_request(struct bf_genl *genl, void *request, size_t length, struct bf_failure *failure)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const uint32_t sequence = ++genl->sequence;

	memcpy((unsigned char *)request + offsetof(struct nlmsghdr, nlmsg_seq), &sequence, sizeof(sequence));
	/* Interrupted by a signal it has not been sent: the kernel queues a request in one step. */
	while (sendto(genl->fd, request, length, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
		if (errno != EINTR)
			return fail(failure, errno, "sendto", "");
	}
	return 0;
}

struct conversation {
	const char *call;
	bf_take_answer *take;
	void *context;
	struct bf_failure *failure;
	bool is_over;
};

static int take_verdict(struct conversation *conversation, const struct bf_answer *answer)
{
	struct bf_verdict verdict;
	int error = bf_read_verdict(answer, &verdict);

	if (error != 0)
		return error;
	conversation->is_over = true;
	if (verdict.error != 0)
		fail(conversation->failure, verdict.error, conversation->call, verdict.words);
	return 0;
}

static int take_answer(struct conversation *conversation, struct bf_answer *answer)
{
	uint8_t command;

	if (answer->type == NLMSG_ERROR)
		return take_verdict(conversation, answer);
	if (answer->type == NLMSG_DONE)
		conversation->is_over = true;
	if (answer->type < NLMSG_MIN_TYPE || conversation->take == NULL)
		return 0;
	if (bf_take_command(&answer->payload, &command) != 0)
		return -EBADMSG;
	return conversation->take(conversation->context, command, answer->payload);
}

/* 0, or -errno if the kernel's answers cannot be read; its refusal is in the failure. */
static int take_datagram(struct bf_genl *genl, struct conversation *conversation)
{
	struct bf_reader datagram;
	struct bf_answer answer;
	int error = receive(genl, 0, &datagram);
	int more = 0;

	while (error == 0 && !conversation->is_over && (more = bf_next_answer(&datagram, &answer)) == 1) {
		if (answer.sequence == genl->sequence)
			error = take_answer(conversation, &answer);
	}
	return error == 0 && more < 0 ? more : error;
}

/* The kernel has done what was asked, or not: these say that it cannot be told which. */
static int fail_unheard(struct bf_failure *failure, int error, const char *call)
{
	if (error == EAGAIN)
		return fail(failure, ETIMEDOUT, call, "the kernel did not say what became of it");
	if (error == EBADMSG)
		return fail(failure, EBADMSG, call, "the kernel's answer has another form than is known here");
	return fail(failure, error, call, "the kernel's answer was lost");
}

int bf_genl_ask(struct bf_genl *genl, const char *call, void *request, size_t length, bf_take_answer *take,
		void *context, struct bf_failure *failure)
{
	struct conversation conversation = { .call = call, .take = take, .context = context, .failure = failure };
	int error = 0;

	*failure = (struct bf_failure){ 0 };
	if (send_request(genl, request, length, failure) != 0)
		return -1;
	for (int datagrams = 0; error == 0 && !conversation.is_over; datagrams++)
		error = datagrams < ANSWERS_MAX ? take_datagram(genl, &conversation) : -EBADMSG;
	if (error != 0)
		return fail_unheard(failure, -error, call);
	return failure->error == 0 ? 0 : -1;
}

struct search {
	const char *group;
	struct bf_family *family;
};

static int take_family(void *context, uint8_t command, struct bf_reader attributes)
{
	struct search *search = context;

	return command == CTRL_CMD_NEWFAMILY ? bf_parse_family(attributes, search->group, search->family) : 0;
}

int bf_genl_find(struct bf_genl *genl, const char *name, const char *group, struct bf_family *family,
		 struct bf_failure *failure)
{
	static const char call[] = "CTRL_CMD_GETFAMILY";
	unsigned char request[FAMILY_REQUEST_SIZE];
	struct search search = { .group = group, .family = family };
	size_t length = bf_build_family_request(request, sizeof(request), name);

	*family = (struct bf_family){ 0 };
	if (length == 0)
		return fail(failure, EMSGSIZE, call, "");
	if (bf_genl_ask(genl, call, request, length, take_family, &search, failure) != 0)
		return -1;
	return family->id == 0 ? fail_unheard(failure, EBADMSG, call) : 0;
}

int bf_genl_join(struct bf_genl *genl, uint32_t group, struct bf_failure *failure)
{
	if (setsockopt(genl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
		return fail(failure, errno, "setsockopt", "");
	return 0;
}
