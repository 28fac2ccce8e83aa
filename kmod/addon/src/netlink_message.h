/*
 * Netlink messages as bytes: building requests, taking answers apart. Nothing here talks to the kernel, and
 * no answer is trusted: each length is compared with what is there before anything behind it is read.
 *
 *   nlmsghdr 16   u32 length of all, u16 type, u16 flags, u32 sequence, u32 port
 *   genlmsghdr 4  u8 command, u8 version, u16 0
 *   attribute     u16 length without padding, u16 type, data, padding to 4; data may be attributes again
 *
 * Numbers are in the machine's byte order (netlink(7), linux/netlink.h, linux/genetlink.h).
 */
#ifndef BLKFERRY_NETLINK_MESSAGE_H
#define BLKFERRY_NETLINK_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A request being built. What does not fit makes it useless, and bf_message_end says so. */
struct bf_message {
	unsigned char *bytes;
	size_t size;
	size_t used;
	bool is_overfull;
};

/* Begins a generic netlink request that is to be acknowledged. Its sequence number is stamped when it is sent. */
void bf_message_begin(struct bf_message *message, void *bytes, size_t size, uint16_t family, uint8_t command,
		      uint8_t version);
void bf_put_u32(struct bf_message *message, uint16_t type, uint32_t value);
void bf_put_u64(struct bf_message *message, uint16_t type, uint64_t value);
/* With the zero byte at its end. */
void bf_put_text(struct bf_message *message, uint16_t type, const char *text);
/* Attributes put before bf_nest_end are inside of this one. Returns what bf_nest_end wants to know. */
size_t bf_nest_begin(struct bf_message *message, uint16_t type);
void bf_nest_end(struct bf_message *message, size_t nest);
/* Returns the length of the message, 0 if it did not fit. */
size_t bf_message_end(struct bf_message *message);

/* Received bytes that have not been looked at. */
struct bf_reader {
	const unsigned char *at;
	size_t left;
};

struct bf_answer {
	uint16_t type;
	uint16_t flags;
	uint32_t sequence;
	struct bf_reader payload;
};

struct bf_attribute {
	/* Without the flags that may be set in it. */
	uint16_t type;
	struct bf_reader data;
};

/* The next of several in a row: 1, 0 at a clean end, -EBADMSG if the bytes are not of this form. */
int bf_next_answer(struct bf_reader *reader, struct bf_answer *answer);
int bf_next_attribute(struct bf_reader *reader, struct bf_attribute *attribute);

/* Takes the generic netlink header off: 0, or -EBADMSG if there is none. */
int bf_take_command(struct bf_reader *payload, uint8_t *command);

/* 0, or -EBADMSG if the attribute has another length. */
int bf_read_u8(const struct bf_attribute *attribute, uint8_t *value);
int bf_read_u16(const struct bf_attribute *attribute, uint16_t *value);
int bf_read_u32(const struct bf_attribute *attribute, uint32_t *value);
/* Whether it is this text, with or without a zero byte at its end. */
bool bf_is_text(const struct bf_attribute *attribute, const char *text);

/* The kernel's longest words here are half of it; what is longer is cut. */
#define BF_WORDS_SIZE 256

/* What the kernel says of a request (nlmsgerr). */
struct bf_verdict {
	/* 0 or a positive errno. */
	int error;
	/* Its own words (extended acknowledgement), empty if it gave none. */
	char words[BF_WORDS_SIZE];
};

/* Of an answer of type NLMSG_ERROR: 0, or -EBADMSG. */
int bf_read_verdict(const struct bf_answer *answer, struct bf_verdict *verdict);

#endif
