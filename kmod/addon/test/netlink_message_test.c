/* Netlink messages: built as written by hand; read when they are whole, and refused wherever they were cut. */
#include <errno.h>
#include <stdio.h>

#include "genl_family.h"
#include "naive_bytes.h"

/* Of linux/netlink.h and linux/genetlink.h, by number: the code under test uses the headers. */
enum {
	NLMSG_ERROR_TYPE = 2,
	ACK_TLVS = 0x200,
	CAPPED = 0x100,
	MSG_WORDS = 1,
	MSG_OFFSET = 2,
	MSG_MISSING_TYPE = 5,
};

static void test_family_request(void)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	static const unsigned char expected[] = {
		0x1c, 0, 0, 0, 0x10, 0, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 28 bytes for family 16: request, ack */
		3, 1, 0, 0, /* CTRL_CMD_GETFAMILY, version 1 */
		8, 0, 2, 0, 'n', 'b', 'd', 0, /* CTRL_ATTR_FAMILY_NAME */
	};
	unsigned char bytes[64];

	assert(bf_build_family_request(bytes, sizeof(bytes), "nbd") == sizeof(expected));
	assert(memcmp(bytes, expected, sizeof(expected)) == 0);
#endif
}

static void test_padding_and_nests(void)
{
	struct naive naive = { 0 };
	struct bf_message message;
	unsigned char bytes[128];
	size_t outer, inner, length;

	/* 20 of headers, the text with its padding, the outer nest with the inner one and a number in it. */
	add32(&naive, 20 + 12 + (4 + 12 + 12)), add16(&naive, 77), add16(&naive, 5), add32(&naive, 0), add32(&naive, 0);
	add8(&naive, 9), add8(&naive, 1), add16(&naive, 0);
	add_header(&naive, 4 + 5, 1), add(&naive, "abcd\0\0\0\0", 8);
	add_header(&naive, 4 + 12 + 12, 2 | 0x8000);
	add_header(&naive, 4 + 8, 3 | 0x8000), add_header(&naive, 8, 4), add32(&naive, 0xfeedbeef);
	add_header(&naive, 12, 5), add64(&naive, 0x1122334455667788);

	memset(bytes, 0xff, sizeof(bytes));
	bf_message_begin(&message, bytes, sizeof(bytes), 77, 9, 1);
	bf_put_text(&message, 1, "abcd");
	outer = bf_nest_begin(&message, 2);
	inner = bf_nest_begin(&message, 3);
	bf_put_u32(&message, 4, 0xfeedbeef);
	bf_nest_end(&message, inner);
	bf_put_u64(&message, 5, 0x1122334455667788);
	bf_nest_end(&message, outer);
	length = bf_message_end(&message);
	assert(length == naive.length);
	assert(memcmp(bytes, naive.bytes, length) == 0);
}

/* Every size that is too small is noticed, and no byte behind it is touched. */
static void test_no_room(void)
{
	const size_t whole = bf_build_family_request((unsigned char[64]){ 0 }, 64, "nlctrl");

	assert(whole == 20 + 12);
	for (size_t size = 0; size < whole; size++) {
		unsigned char *bytes = exact_copy((unsigned char[64]){ 0 }, size);

		assert(bf_build_family_request(bytes, size, "nlctrl") == 0);
		free(bytes);
	}
}

static void test_answers_cut_anywhere(void)
{
	struct naive naive = { 0 };
	size_t whole;

	add32(&naive, 18), add16(&naive, 40), add16(&naive, 0), add32(&naive, 1), add32(&naive, 2);
	add16(&naive, 0xabcd), add16(&naive, 0); /* 2 bytes and their padding */
	add32(&naive, 16), add16(&naive, 41), add16(&naive, 0), add32(&naive, 3), add32(&naive, 2);
	whole = naive.length;
	for (size_t length = 0; length <= whole; length++) {
		unsigned char *bytes = exact_copy(naive.bytes, length);
		struct bf_reader reader = { bytes, length };
		struct bf_answer answer;
		int first = bf_next_answer(&reader, &answer);

		assert(first == (length == 0 ? 0 : length < 18 ? -EBADMSG : 1));
		if (first == 1) {
			assert(answer.type == 40 && answer.sequence == 1 && answer.payload.left == 2);
			assert(bf_next_answer(&reader, &answer) == (length <= 20 ? 0 : length < whole ? -EBADMSG : 1));
		}
		free(bytes);
	}
}

static void test_lengths_that_lie(void)
{
	/* Below the header's own length a reader would stand still; above what is there it would leave it. */
	for (uint32_t claimed = 0; claimed < 64; claimed++) {
		struct naive naive = { 0 };
		struct bf_reader reader;
		struct bf_answer answer;
		struct bf_attribute attribute;
		unsigned char *bytes;

		add32(&naive, claimed), add16(&naive, 40), add16(&naive, 0), add32(&naive, 0), add32(&naive, 0);
		add32(&naive, 0);
		bytes = exact_copy(naive.bytes, naive.length);
		reader = (struct bf_reader){ bytes, naive.length };
		assert(bf_next_answer(&reader, &answer) == (claimed < 16 || claimed > 20 ? -EBADMSG : 1));
		free(bytes);

		naive.length = 0;
		add_header(&naive, (uint16_t)claimed, 1), add32(&naive, 0);
		bytes = exact_copy(naive.bytes, naive.length);
		reader = (struct bf_reader){ bytes, naive.length };
		assert(bf_next_attribute(&reader, &attribute) == (claimed < 4 || claimed > 8 ? -EBADMSG : 1));
		free(bytes);
	}
}

static void test_numbers_of_another_length(void)
{
	unsigned char bytes[8] = { 0 };
	uint8_t byte;
	uint16_t half;
	uint32_t word;

	for (size_t length = 0; length <= sizeof(bytes); length++) {
		struct bf_attribute attribute = { .data = { bytes, length } };

		assert(bf_read_u8(&attribute, &byte) == (length == 1 ? 0 : -EBADMSG));
		assert(bf_read_u16(&attribute, &half) == (length == 2 ? 0 : -EBADMSG));
		assert(bf_read_u32(&attribute, &word) == (length == 4 ? 0 : -EBADMSG));
	}
}

static void test_texts(void)
{
	struct bf_attribute bare = { .data = { (const unsigned char *)"nbd", 3 } };
	struct bf_attribute ended = { .data = { (const unsigned char *)"nbd", 4 } };
	struct bf_attribute empty = { .data = { (const unsigned char *)"", 0 } };

	assert(bf_is_text(&bare, "nbd") && bf_is_text(&ended, "nbd") && bf_is_text(&empty, ""));
	assert(!bf_is_text(&bare, "nb") && !bf_is_text(&bare, "nbds") && !bf_is_text(&empty, "nbd"));
}

/* An nlmsgerr that echoes `echoed` bytes of the request, then says `words` and that attribute 7 is missing. */
static struct naive verdict_bytes(int32_t error, uint32_t echoed, const char *words)
{
	struct naive naive = { 0 };
	const size_t length = strlen(words) + 1;

	add32(&naive, (uint32_t)error);
	add32(&naive, 40), add16(&naive, 30), add16(&naive, 5), add32(&naive, 1), add32(&naive, 2);
	for (uint32_t byte = 16; byte < echoed; byte++)
		add8(&naive, 0xee);
	add_header(&naive, 8, MSG_OFFSET), add32(&naive, 20);
	add_header(&naive, 8, MSG_MISSING_TYPE), add32(&naive, 7);
	if (words[0] == '\0')
		return naive;
	add_header(&naive, (uint16_t)(4 + length), MSG_WORDS), add(&naive, words, length);
	while (naive.length % 4 != 0)
		add8(&naive, 0);
	return naive;
}

static int read_verdict(const struct naive *naive, uint16_t flags, size_t length, struct bf_verdict *verdict)
{
	unsigned char *bytes = exact_copy(naive->bytes, length);
	struct bf_answer answer = { .type = NLMSG_ERROR_TYPE, .flags = flags, .payload = { bytes, length } };
	int result = bf_read_verdict(&answer, verdict);

	free(bytes);
	return result;
}

static void test_verdicts(void)
{
	struct naive capped = verdict_bytes(-EINVAL, 16, "no such thing");
	struct naive echoed = verdict_bytes(-EINVAL, 40, "no such thing");
	struct naive missing = verdict_bytes(-EINVAL, 16, "");
	struct bf_verdict verdict;

	assert(read_verdict(&capped, ACK_TLVS | CAPPED, capped.length, &verdict) == 0);
	assert(verdict.error == EINVAL && strcmp(verdict.words, "no such thing") == 0);
	assert(read_verdict(&echoed, ACK_TLVS, echoed.length, &verdict) == 0);
	assert(verdict.error == EINVAL && strcmp(verdict.words, "no such thing") == 0);
	assert(read_verdict(&missing, ACK_TLVS | CAPPED, missing.length, &verdict) == 0);
	assert(strcmp(verdict.words, "attribute 7 is missing in the request") == 0);
	/* Without the flag nothing stands behind it. */
	assert(read_verdict(&capped, CAPPED, capped.length, &verdict) == 0 && verdict.words[0] == '\0');
}

/* Cut words are no words, but whether it was done is known as long as that much arrived. */
static void test_verdicts_cut_anywhere(void)
{
	struct naive whole = verdict_bytes(-EBUSY, 40, "taken");
	struct bf_verdict verdict;

	for (size_t length = 0; length < whole.length; length++) {
		int result = read_verdict(&whole, ACK_TLVS, length, &verdict);

		assert(result == (length < 20 ? -EBADMSG : 0));
		assert(result != 0 || verdict.error == EBUSY);
		assert(strlen(verdict.words) < sizeof(verdict.words));
	}
}

static void test_verdicts_that_are_none(void)
{
	static const int32_t impossible[] = { 1, INT32_MAX, -4096, INT32_MIN };
	struct bf_verdict verdict;
	char words[2000];

	for (size_t place = 0; place < sizeof(impossible) / sizeof(impossible[0]); place++) {
		struct naive naive = verdict_bytes(impossible[place], 16, "");

		assert(read_verdict(&naive, 0, naive.length, &verdict) == -EBADMSG);
	}
	memset(words, 'x', sizeof(words));
	words[sizeof(words) - 1] = '\0';
	struct naive longest = verdict_bytes(-EPERM, 16, words);

	assert(read_verdict(&longest, ACK_TLVS | CAPPED, longest.length, &verdict) == 0);
	assert(strlen(verdict.words) == sizeof(verdict.words) - 1);
}

/* A family as the controller describes it, with what is of no interest here. */
static struct naive family_bytes(void)
{
	struct naive naive = { 0 };

	add_header(&naive, 8, 2), add(&naive, "nbd", 4); /* name */
	add_header(&naive, 6, 1), add16(&naive, 27), add16(&naive, 0); /* number */
	add_header(&naive, 8, 3), add32(&naive, 1); /* version */
	add_header(&naive, 4 + 24 + 32, 7 | 0x8000); /* groups */
	add_header(&naive, 24, 1);
	add_header(&naive, 8, 2), add32(&naive, 11), add_header(&naive, 10, 1), add(&naive, "other\0\0", 8);
	add_header(&naive, 32, 2);
	add_header(&naive, 8, 2), add32(&naive, 12);
	add_header(&naive, 4 + 13, 1), add(&naive, "nbd_mc_group\0\0\0", 16);
	add_header(&naive, 8, 99), add32(&naive, 5); /* of a later kernel */
	return naive;
}

static void test_family(void)
{
	struct naive naive = family_bytes();
	struct bf_family family = { 0 };

	assert(bf_parse_family((struct bf_reader){ naive.bytes, naive.length }, "nbd_mc_group", &family) == 0);
	assert(family.id == 27 && family.group == 12);
	family = (struct bf_family){ 0 };
	assert(bf_parse_family((struct bf_reader){ naive.bytes, naive.length }, "nobody", &family) == 0);
	assert(family.id == 27 && family.group == 0);
}

static void test_family_cut_anywhere(void)
{
	struct naive naive = family_bytes();
	/* Where an attribute ends, the rest is a family that tells less. */
	static const size_t borders[] = { 0, 8, 14, 16, 24, 24 + 60 };

	for (size_t length = 0; length < naive.length; length++) {
		unsigned char *bytes = exact_copy(naive.bytes, length);
		struct bf_family family = { 0 };
		bool is_border = false;

		for (size_t place = 0; place < sizeof(borders) / sizeof(borders[0]); place++)
			is_border = is_border || borders[place] == length;
		/* Padding may be missing: 14 and 15 are as good as 16. */
		is_border = is_border || length == 15;
		assert(bf_parse_family((struct bf_reader){ bytes, length }, "nbd_mc_group", &family) ==
		       (is_border ? 0 : -EBADMSG));
		free(bytes);
	}
}

int main(void)
{
	test_family_request();
	test_padding_and_nests();
	test_no_room();
	test_answers_cut_anywhere();
	test_lengths_that_lie();
	test_numbers_of_another_length();
	test_texts();
	test_verdicts();
	test_verdicts_cut_anywhere();
	test_verdicts_that_are_none();
	test_family();
	test_family_cut_anywhere();
	puts("netlink_message: all assertions held");
	return 0;
}
