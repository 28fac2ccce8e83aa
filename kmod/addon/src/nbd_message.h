/*
 * The messages of linux/nbd-netlink.h as bytes: what is asked of a device, and what the kernel tells.
 */
#ifndef BLKFERRY_NBD_MESSAGE_H
#define BLKFERRY_NBD_MESSAGE_H

#include <stdint.h>

#include "netlink_message.h"

/* One for each hardware queue; the daemon's largest setting is a quarter of it. */
#define BF_NBD_SOCKETS_MAX 64
/* Bytes without the zero at the end. /sys/block/nbdN/backend is one page at most. */
#define BF_NBD_IDENTIFIER_MAX 255
/* The largest request: 64 sockets of 12 bytes, the identifier, nine other attributes, headers. */
#define BF_NBD_REQUEST_SIZE 2048

/* Which of the settings are given; the kernel leaves or chooses the others. */
enum bf_nbd_given {
	BF_NBD_INDEX = 1 << 0,
	BF_NBD_SIZE = 1 << 1,
	BF_NBD_BLOCK_SIZE = 1 << 2,
	BF_NBD_TIMEOUT = 1 << 3,
	BF_NBD_SERVER_FLAGS = 1 << 4,
	BF_NBD_CLIENT_FLAGS = 1 << 5,
	BF_NBD_DEAD_TIMEOUT = 1 << 6,
};

struct bf_nbd_settings {
	unsigned int given;
	uint32_t index;
	/* Bytes. */
	uint64_t size;
	uint64_t block_size;
	/* Seconds. */
	uint64_t timeout;
	uint64_t dead_timeout;
	uint64_t server_flags;
	uint64_t client_flags;
	/* Empty: not sent. */
	char identifier[BF_NBD_IDENTIFIER_MAX + 1];
	/* 0: not sent. */
	size_t socket_count;
	int sockets[BF_NBD_SOCKETS_MAX];
};

/* Of NBD_CMD_CONNECT, _RECONFIGURE, _DISCONNECT or _STATUS. Returns the length, 0 if it does not fit. */
size_t bf_build_nbd_request(void *bytes, size_t size, uint16_t family, uint8_t command,
			    const struct bf_nbd_settings *settings);

/* Attributes of a CONNECT answer or of LINK_DEAD: 0, or -EBADMSG; without an index too. */
int bf_parse_nbd_index(struct bf_reader attributes, uint32_t *index);

struct bf_nbd_device {
	uint32_t index;
	bool is_connected;
};

/* Grows as needed; `list` is to be freed. */
struct bf_nbd_devices {
	struct bf_nbd_device *list;
	size_t count;
	size_t room;
};

/* Attributes of a STATUS answer, added to the devices: 0, -EBADMSG or -ENOMEM. */
int bf_parse_nbd_devices(struct bf_reader attributes, struct bf_nbd_devices *devices);

#endif
