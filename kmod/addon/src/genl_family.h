/*
 * Which number a family of generic netlink has on this machine, and its multicast group: the messages that
 * ask for it, as bytes (CTRL_CMD_GETFAMILY in linux/genetlink.h). Numbers change when a module is loaded anew.
 */
#ifndef BLKFERRY_GENL_FAMILY_H
#define BLKFERRY_GENL_FAMILY_H

#include <stdint.h>

#include "netlink_message.h"

struct bf_family {
	/* The type of its messages; 0 if it was not told. */
	uint16_t id;
	/* 0 if the family has no group of that name. */
	uint32_t group;
};

/* Returns the length, 0 if it does not fit. */
size_t bf_build_family_request(void *bytes, size_t size, const char *name);

/* Attributes of CTRL_CMD_NEWFAMILY: 0, or -EBADMSG. What it does not know it passes over. */
int bf_parse_family(struct bf_reader attributes, const char *group, struct bf_family *family);

#endif
