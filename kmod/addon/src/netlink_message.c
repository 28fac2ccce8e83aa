#include "netlink_message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

/* linux/err.h: errors of the kernel are below this. */
#define ERRNO_MAX 4095

static size_t aligned(size_t length)
{
	return (length + NLMSG_ALIGNTO - 1) & ~(size_t)(NLMSG_ALIGNTO - 1);
}

/* Room for `length` bytes and their padding, all zero; NULL if it does not fit. */
static unsigned char *extend(struct bf_message *message, size_t length)
{
	unsigned char *place = message->bytes + message->used;

	if (message->is_overfull || aligned(length) > message->size - message->used) {
		message->is_overfull = true;
		return NULL;
	}
	memset(place, 0, aligned(length));
	message->used += aligned(length);
	return place;
}

void bf_message_begin(struct bf_message *message, void *bytes, size_t size, uint16_t family, uint8_t command,
		      uint8_t version)
{
	struct nlmsghdr header = { .nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK };
	struct genlmsghdr generic = { .cmd = command, .version = version };
	unsigned char *place;

	*message = (struct bf_message){ .bytes = bytes, .size = size };
	place = extend(message, NLMSG_HDRLEN + GENL_HDRLEN);
	if (place == NULL)
		return;
	memcpy(place, &header, sizeof(header));
	memcpy(place + NLMSG_HDRLEN, &generic, sizeof(generic));
}

static void put(struct bf_message *message, uint16_t type, const void *data, size_t length)
{
	struct nlattr header = { .nla_type = type };
	unsigned char *place;

	if (length > UINT16_MAX - NLA_HDRLEN) {
		message->is_overfull = true;
		return;
	}
	header.nla_len = (uint16_t)(NLA_HDRLEN + length);
	place = extend(message, header.nla_len);
	if (place == NULL)
		return;
	memcpy(place, &header, sizeof(header));
	if (length > 0)
		memcpy(place + NLA_HDRLEN, data, length);
}

void bf_put_u32(struct bf_message *message, uint16_t type, uint32_t value)
{
	put(message, type, &value, sizeof(value));
}

void bf_put_u64(struct bf_message *message, uint16_t type, uint64_t value)
{
	put(message, type, &value, sizeof(value));
}

void bf_put_text(struct bf_message *message, uint16_t type, const char *text)
{
	put(message, type, text, strlen(text) + 1);
}

size_t bf_nest_begin(struct bf_message *message, uint16_t type)
{
	size_t nest = message->used;

	put(message, type | NLA_F_NESTED, NULL, 0);
	return nest;
}

void bf_nest_end(struct bf_message *message, size_t nest)
{
	size_t length = message->used - nest;
	uint16_t written = (uint16_t)length;

	if (length > UINT16_MAX)
		message->is_overfull = true;
	if (!message->is_overfull)
		memcpy(message->bytes + nest + offsetof(struct nlattr, nla_len), &written, sizeof(written));
}

size_t bf_message_end(struct bf_message *message)
{
	uint32_t length = (uint32_t)message->used;

	if (message->is_overfull)
		return 0;
	memcpy(message->bytes + offsetof(struct nlmsghdr, nlmsg_len), &length, sizeof(length));
	return message->used;
}

/* Takes `length` bytes and their padding off; padding may be missing at the end. */
static void advance(struct bf_reader *reader, size_t length)
{
	size_t step = aligned(length) < reader->left ? aligned(length) : reader->left;

	reader->at += step;
	reader->left -= step;
}

int bf_next_answer(struct bf_reader *reader, struct bf_answer *answer)
{
	struct nlmsghdr header;

	if (reader->left == 0)
		return 0;
	if (reader->left < NLMSG_HDRLEN)
		return -EBADMSG;
	memcpy(&header, reader->at, sizeof(header));
	if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > reader->left)
		return -EBADMSG;
	*answer = (struct bf_answer){
		.type = header.nlmsg_type,
		.flags = header.nlmsg_flags,
		.sequence = header.nlmsg_seq,
		.payload = { reader->at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN },
	};
	advance(reader, header.nlmsg_len);
	return 1;
}

int bf_next_attribute(struct bf_reader *reader, struct bf_attribute *attribute)
{
	struct nlattr header;

	if (reader->left == 0)
		return 0;
	if (reader->left < NLA_HDRLEN)
		return -EBADMSG;
	memcpy(&header, reader->at, sizeof(header));
	if (header.nla_len < NLA_HDRLEN || header.nla_len > reader->left)
		return -EBADMSG;
	attribute->type = header.nla_type & NLA_TYPE_MASK;
	attribute->data = (struct bf_reader){ reader->at + NLA_HDRLEN, header.nla_len - NLA_HDRLEN };
	advance(reader, header.nla_len);
	return 1;
}

int bf_take_command(struct bf_reader *payload, uint8_t *command)
{
	struct genlmsghdr generic;

	if (payload->left < GENL_HDRLEN)
		return -EBADMSG;
	memcpy(&generic, payload->at, sizeof(generic));
	*command = generic.cmd;
	advance(payload, GENL_HDRLEN);
	return 0;
}

static int read_exactly(const struct bf_attribute *attribute, void *value, size_t length)
{
	if (attribute->data.left != length)
		return -EBADMSG;
	memcpy(value, attribute->data.at, length);
	return 0;
}

int bf_read_u8(const struct bf_attribute *attribute, uint8_t *value)
{
	return read_exactly(attribute, value, sizeof(*value));
}

int bf_read_u16(const struct bf_attribute *attribute, uint16_t *value)
{
	return read_exactly(attribute, value, sizeof(*value));
}

int bf_read_u32(const struct bf_attribute *attribute, uint32_t *value)
{
	return read_exactly(attribute, value, sizeof(*value));
}

/* Without the zero byte at its end, if there is one. */
static size_t text_length(const struct bf_attribute *attribute)
{
	return strnlen((const char *)attribute->data.at, attribute->data.left);
}

bool bf_is_text(const struct bf_attribute *attribute, const char *text)
{
	size_t length = text_length(attribute);

	return length == strlen(text) && memcmp(attribute->data.at, text, length) == 0;
}

/*
 * Words of the kernel, from the attributes after an nlmsgerr. Damaged ones cost the words, not the verdict:
 * whether a device was made must be known.
 */
static void read_words(struct bf_reader reader, char words[BF_WORDS_SIZE])
{
	struct bf_attribute attribute;
	uint32_t missing;

	while (bf_next_attribute(&reader, &attribute) == 1) {
		if (attribute.type == NLMSGERR_ATTR_MSG) {
			snprintf(words, BF_WORDS_SIZE, "%.*s", (int)text_length(&attribute),
				 (const char *)attribute.data.at);
			return;
		}
		/* NLMSGERR_ATTR_MISS_TYPE; headers before Linux 6.1 do not have the name. */
		if (attribute.type == 5 && bf_read_u32(&attribute, &missing) == 0)
			snprintf(words, BF_WORDS_SIZE, "attribute %u is missing in the request", missing);
	}
}

int bf_read_verdict(const struct bf_answer *answer, struct bf_verdict *verdict)
{
	struct bf_reader reader = answer->payload;
	struct nlmsghdr asked;
	int32_t error;
	size_t echoed;

	*verdict = (struct bf_verdict){ 0 };
	if (reader.left < sizeof(error) + NLMSG_HDRLEN)
		return -EBADMSG;
	memcpy(&error, reader.at, sizeof(error));
	if (error > 0 || error < -ERRNO_MAX)
		return -EBADMSG;
	verdict->error = -error;
	advance(&reader, sizeof(error));
	if ((answer->flags & NLM_F_ACK_TLVS) == 0)
		return 0;
	/* The kernel echoes the request, or its header only, before it goes on. */
	memcpy(&asked, reader.at, sizeof(asked));
	echoed = (answer->flags & NLM_F_CAPPED) != 0 ? NLMSG_HDRLEN : asked.nlmsg_len;
	if (echoed < NLMSG_HDRLEN || echoed > reader.left)
		return 0;
	advance(&reader, echoed);
	read_words(reader, verdict->words);
	return 0;
}
