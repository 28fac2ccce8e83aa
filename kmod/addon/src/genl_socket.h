/*
 * A generic netlink socket: asks the kernel, and listens to a multicast group. What is asked and answered is
 * the caller's business.
 *
 * The kernel does what it is asked within send(2), one request of the whole machine at a time for most families
 * (genl_mutex): the answers are there when it returns. So a call may take as long as the kernel needs, no time limit
 * here could end it, and none of this may be called where somebody waits, as on Node's main thread.
 */
#ifndef BLKFERRY_GENL_SOCKET_H
#define BLKFERRY_GENL_SOCKET_H

#include <stdint.h>

#include "genl_family.h"
#include "netlink_message.h"

struct bf_genl {
	int fd;
	uint32_t sequence;
	/* Room for one datagram. */
	unsigned char *datagram;
};

/* Why something could not be done; `error` is a positive errno. */
struct bf_failure {
	int error;
	/* The system call, or the command that the kernel refused ("NBD_CMD_CONNECT"). */
	const char *call;
	/* What more is known, mostly the kernel's own words; may be empty. */
	char words[BF_WORDS_SIZE];
};

/* These return 0, or -1 with the failure filled in. Nothing has to be closed after a failed open. */
int bf_genl_open(struct bf_genl *genl, struct bf_failure *failure);
void bf_genl_close(struct bf_genl *genl);

/* Takes one answer that is no acknowledgement: 0, or -errno, which ends the call. */
typedef int bf_take_answer(void *context, uint8_t command, struct bf_reader attributes);

/*
 * Sends a request and takes its answers until the kernel has acknowledged it.
 * `call` is what a refusal is named after. `take` may be NULL: answers are passed over.
 */
int bf_genl_ask(struct bf_genl *genl, const char *call, void *request, size_t length, bf_take_answer *take,
		void *context, struct bf_failure *failure);

/* ENOENT of CTRL_CMD_GETFAMILY: there is no such family (its module is not loaded). */
int bf_genl_find(struct bf_genl *genl, const char *name, const char *group, struct bf_family *family,
		 struct bf_failure *failure);

int bf_genl_join(struct bf_genl *genl, uint32_t group, struct bf_failure *failure);

/* The next datagram of the kernel, without waiting: 1, 0 if there is none, or -errno. */
int bf_genl_poll(struct bf_genl *genl, struct bf_reader *datagram);

#endif
