/*
 * Bytes of netlink messages written one after the other, lengths counted by hand: the second opinion that the
 * tests compare with. Also exact copies, so that the sanitizer sees a read of one byte too many.
 */
#ifndef BLKFERRY_NAIVE_BYTES_H
#define BLKFERRY_NAIVE_BYTES_H

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "netlink_message.h"

struct naive {
	unsigned char bytes[4096];
	size_t length;
};

static inline void add(struct naive *naive, const void *data, size_t length)
{
	assert(naive->length + length <= sizeof(naive->bytes));
	memcpy(naive->bytes + naive->length, data, length);
	naive->length += length;
}

static inline void add8(struct naive *naive, uint8_t value)
{
	add(naive, &value, 1);
}

static inline void add16(struct naive *naive, uint16_t value)
{
	add(naive, &value, 2);
}

static inline void add32(struct naive *naive, uint32_t value)
{
	add(naive, &value, 4);
}

static inline void add64(struct naive *naive, uint64_t value)
{
	add(naive, &value, 8);
}

/* Attribute headers: the length counts the header and not the padding. */
static inline void add_header(struct naive *naive, uint16_t length, uint16_t type)
{
	add16(naive, length);
	add16(naive, type);
}

/* A copy of exactly this length, for free(3). */
static inline unsigned char *exact_copy(const void *bytes, size_t length)
{
	unsigned char *copy = malloc(length == 0 ? 1 : length);

	assert(copy != NULL);
	memcpy(copy, bytes, length);
	return copy;
}

#endif
