/*
 * The calls of the kernel's NBD driver over generic netlink. Each opens a socket of its own and finds the
 * family anew, as the module may have been loaded again; calls are as rare as attaching a disk. They take as long as the
 * kernel takes (genl_socket.h): a size waits for the requests in flight, an end for the device's sockets.
 */
#ifndef BLKFERRY_NBD_CALLS_H
#define BLKFERRY_NBD_CALLS_H

#include <stdint.h>

#include "genl_socket.h"
#include "nbd_message.h"

struct bf_nbd_result {
	/* Of NBD_CMD_CONNECT. */
	uint32_t index;
	/* Of NBD_CMD_STATUS; its list is to be freed, also after a failure. */
	struct bf_nbd_devices devices;
};

/* NBD_CMD_CONNECT, _RECONFIGURE, _DISCONNECT or _STATUS: 0, or -1 with the failure filled in. */
int bf_nbd_call(uint8_t command, const struct bf_nbd_settings *settings, struct bf_nbd_result *result,
		struct bf_failure *failure);

#endif
