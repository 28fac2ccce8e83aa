/* The messages of the NBD interface: requests byte by byte, answers whole, cut and damaged. */
#include <errno.h>
#include <stdio.h>

#include "naive_bytes.h"
#include "nbd_message.h"

/* Of linux/nbd-netlink.h, by number: the code under test uses the header. */
enum {
	CONNECT = 1,
	DISCONNECT = 2,
	RECONFIGURE = 3,
	STATUS = 5,
	NESTED = 0x8000,
};

static void add_headers(struct naive *naive, uint32_t length, uint8_t command)
{
	add32(naive, length), add16(naive, 30), add16(naive, 5), add32(naive, 0), add32(naive, 0);
	add8(naive, command), add8(naive, 1), add16(naive, 0);
}

static void assert_same(const struct bf_nbd_settings *settings, uint8_t command, const struct naive *expected)
{
	unsigned char bytes[BF_NBD_REQUEST_SIZE];
	size_t length = bf_build_nbd_request(bytes, sizeof(bytes), 30, command, settings);

	assert(length == expected->length);
	assert(memcmp(bytes, expected->bytes, length) == 0);
	/* A place that is one byte too small is noticed. */
	assert(bf_build_nbd_request(bytes, length - 1, 30, command, settings) == 0);
}

static void test_connect(void)
{
	const struct bf_nbd_settings settings = {
		.given = BF_NBD_INDEX | BF_NBD_SIZE | BF_NBD_BLOCK_SIZE | BF_NBD_TIMEOUT | BF_NBD_SERVER_FLAGS |
			 BF_NBD_CLIENT_FLAGS | BF_NBD_DEAD_TIMEOUT,
		.index = 7,
		.size = 1ull << 40,
		.block_size = 4096,
		.timeout = 0,
		.server_flags = 0x16d,
		.client_flags = 1,
		.dead_timeout = 86400,
		.identifier = "blkferry:1:a:b",
		.socket_count = 2,
		.sockets = { 20, 23 },
	};
	struct naive expected = { 0 };

	add_headers(&expected, 20 + 8 + 6 * 12 + 20 + 28, CONNECT);
	add_header(&expected, 8, 1), add32(&expected, 7);
	add_header(&expected, 12, 2), add64(&expected, 1ull << 40);
	add_header(&expected, 12, 3), add64(&expected, 4096);
	add_header(&expected, 12, 4), add64(&expected, 0);
	add_header(&expected, 12, 5), add64(&expected, 0x16d);
	add_header(&expected, 12, 6), add64(&expected, 1);
	add_header(&expected, 12, 8), add64(&expected, 86400);
	add_header(&expected, 4 + 15, 10), add(&expected, "blkferry:1:a:b\0", 16);
	add_header(&expected, 28, 7 | NESTED);
	add_header(&expected, 12, 1 | NESTED), add_header(&expected, 8, 1), add32(&expected, 20);
	add_header(&expected, 12, 1 | NESTED), add_header(&expected, 8, 1), add32(&expected, 23);
	assert_same(&settings, CONNECT, &expected);
}

/* What is not given is not sent: a zero would be a size or a time limit of nothing. */
static void test_only_what_is_given(void)
{
	struct bf_nbd_settings settings = { 0 };
	struct naive expected = { 0 };

	add_headers(&expected, 20, STATUS);
	assert_same(&settings, STATUS, &expected);

	settings = (struct bf_nbd_settings){ .given = BF_NBD_INDEX, .index = 0 };
	expected.length = 0;
	add_headers(&expected, 28, DISCONNECT), add_header(&expected, 8, 1), add32(&expected, 0);
	assert_same(&settings, DISCONNECT, &expected);

	settings = (struct bf_nbd_settings){ .given = BF_NBD_INDEX | BF_NBD_SIZE, .index = 3, .size = 512,
					     .identifier = "x" };
	expected.length = 0;
	add_headers(&expected, 20 + 8 + 12 + 8, RECONFIGURE), add_header(&expected, 8, 1), add32(&expected, 3);
	add_header(&expected, 12, 2), add64(&expected, 512);
	add_header(&expected, 6, 10), add(&expected, "x\0\0", 4);
	assert_same(&settings, RECONFIGURE, &expected);
}

static void test_largest(void)
{
	struct bf_nbd_settings settings = { .given = 0x7f, .socket_count = BF_NBD_SOCKETS_MAX };
	unsigned char bytes[BF_NBD_REQUEST_SIZE];

	memset(settings.identifier, 'i', BF_NBD_IDENTIFIER_MAX);
	assert(bf_build_nbd_request(bytes, sizeof(bytes), 30, CONNECT, &settings) ==
	       20 + 8 + 6 * 12 + 260 + 4 + 64 * 12);
}

static int parse_index(const struct naive *naive, size_t length, uint32_t *index)
{
	unsigned char *bytes = exact_copy(naive->bytes, length);
	int result = bf_parse_nbd_index((struct bf_reader){ bytes, length }, index);

	free(bytes);
	return result;
}

static void test_index(void)
{
	struct naive naive = { 0 };
	uint32_t index = 0;

	add_header(&naive, 8, 77), add32(&naive, 1); /* of a later kernel */
	assert(parse_index(&naive, naive.length, &index) == -EBADMSG);
	add_header(&naive, 8, 1), add32(&naive, 42);
	for (size_t length = 0; length < naive.length; length++)
		assert(parse_index(&naive, length, &index) == -EBADMSG);
	assert(parse_index(&naive, naive.length, &index) == 0 && index == 42);

	naive.length = 0;
	add_header(&naive, 6, 1), add32(&naive, 42);
	assert(parse_index(&naive, naive.length, &index) == -EBADMSG);
}

static void add_device(struct naive *naive, uint32_t index, uint8_t state)
{
	add_header(naive, 20, 1);
	add_header(naive, 8, 1), add32(naive, index);
	add_header(naive, 5, 2), add8(naive, state), add8(naive, 0), add16(naive, 0);
}

/* The number of devices, or -errno; the last one is left in `last`. */
static int parse_devices(const void *source, size_t length, struct bf_nbd_device *last)
{
	unsigned char *bytes = exact_copy(source, length);
	struct bf_nbd_devices devices = { 0 };
	int result = bf_parse_nbd_devices((struct bf_reader){ bytes, length }, &devices);

	if (result == 0 && devices.count > 0)
		*last = devices.list[devices.count - 1];
	if (result == 0)
		result = (int)devices.count;
	free(devices.list);
	free(bytes);
	return result;
}

static void test_devices(void)
{
	struct naive naive = { 0 };
	struct bf_nbd_device last = { 0 };

	assert(parse_devices("", 0, &last) == 0);
	add_header(&naive, 4, 9);
	assert(parse_devices(naive.bytes, naive.length, &last) == 0);
	naive.length = 0;
	add_header(&naive, 4 + 20 + 8 + 20, 9 | NESTED);
	add_device(&naive, 3, 1);
	add_header(&naive, 8, 55), add32(&naive, 0); /* no item */
	add_device(&naive, 9, 0);
	assert(parse_devices(naive.bytes, naive.length, &last) == 2);
	assert(last.index == 9 && !last.is_connected);
	for (size_t length = 1; length < naive.length; length++)
		assert(parse_devices(naive.bytes, length, &last) == -EBADMSG);
}

/* Each byte, given each of some values: read or refused, never more read than is there. */
static void test_damaged_devices(void)
{
	static const unsigned char values[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 20, 24, 0x7f, 0x80, 0xff };
	struct naive naive = { 0 };
	struct bf_nbd_device last;

	add_header(&naive, 4 + 40, 9 | NESTED);
	add_device(&naive, 3, 1);
	add_device(&naive, 9, 0);
	for (size_t byte = 0; byte < naive.length; byte++) {
		for (size_t place = 0; place < sizeof(values); place++) {
			struct naive damaged = naive;

			damaged.bytes[byte] = values[place];
			assert(parse_devices(damaged.bytes, damaged.length, &last) <= 2);
		}
	}
}

static void test_device_without_state(void)
{
	struct naive naive = { 0 };
	struct bf_nbd_device last;

	add_header(&naive, 4 + 12, 9), add_header(&naive, 12, 1), add_header(&naive, 8, 1), add32(&naive, 3);
	assert(parse_devices(naive.bytes, naive.length, &last) == -EBADMSG);
	naive.length = 0;
	add_header(&naive, 4 + 12, 9), add_header(&naive, 12, 1), add_header(&naive, 5, 2), add32(&naive, 1);
	assert(parse_devices(naive.bytes, naive.length, &last) == -EBADMSG);
}

/* With 3277 devices the kernel writes the length of the list modulo 65536. */
static void test_list_too_long_for_its_length(void)
{
	struct bf_nbd_device last = { 0 };

	for (uint32_t count = 3276; count <= 3278; count++) {
		const size_t length = 4 + 20 * (size_t)count;
		unsigned char *bytes = malloc(length);
		struct naive header = { 0 };

		assert(bytes != NULL);
		add_header(&header, (uint16_t)length, 9);
		memcpy(bytes, header.bytes, 4);
		for (uint32_t index = 0; index < count; index++) {
			struct naive item = { 0 };

			add_device(&item, index, 1);
			memcpy(bytes + 4 + 20 * (size_t)index, item.bytes, 20);
		}
		assert(parse_devices(bytes, length, &last) == (count == 3276 ? 3276 : -EBADMSG));
		free(bytes);
	}
	assert(last.index == 3275 && last.is_connected);
}

int main(void)
{
	test_connect();
	test_only_what_is_given();
	test_largest();
	test_index();
	test_devices();
	test_damaged_devices();
	test_device_without_state();
	test_list_too_long_for_its_length();
	puts("nbd_message: all assertions held");
	return 0;
}
