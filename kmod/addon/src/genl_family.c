#include "genl_family.h"

#include <errno.h>

#include <linux/genetlink.h>

/* The version of the controller's messages that every kernel speaks. */
#define CONTROLLER_VERSION 1

size_t bf_build_family_request(void *bytes, size_t size, const char *name)
{
	struct bf_message message;

	bf_message_begin(&message, bytes, size, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CONTROLLER_VERSION);
	bf_put_text(&message, CTRL_ATTR_FAMILY_NAME, name);
	return bf_message_end(&message);
}

/* One group: its name and its number, in any order. */
static int parse_group(struct bf_reader reader, const char *wanted, struct bf_family *family)
{
	struct bf_attribute attribute;
	uint32_t number = 0;
	bool is_wanted = false;
	int more;

	while ((more = bf_next_attribute(&reader, &attribute)) == 1) {
		if (attribute.type == CTRL_ATTR_MCAST_GRP_NAME)
			is_wanted = bf_is_text(&attribute, wanted);
		else if (attribute.type == CTRL_ATTR_MCAST_GRP_ID && bf_read_u32(&attribute, &number) != 0)
			return -EBADMSG;
	}
	if (is_wanted)
		family->group = number;
	return more;
}

/* The types of the list's members are their places in it. */
static int parse_groups(struct bf_reader reader, const char *wanted, struct bf_family *family)
{
	struct bf_attribute member;
	int more;

	while ((more = bf_next_attribute(&reader, &member)) == 1) {
		if (parse_group(member.data, wanted, family) != 0)
			return -EBADMSG;
	}
	return more;
}

int bf_parse_family(struct bf_reader attributes, const char *group, struct bf_family *family)
{
	struct bf_attribute attribute;
	int more;

	while ((more = bf_next_attribute(&attributes, &attribute)) == 1) {
		if (attribute.type == CTRL_ATTR_FAMILY_ID && bf_read_u16(&attribute, &family->id) != 0)
			return -EBADMSG;
		if (attribute.type == CTRL_ATTR_MCAST_GROUPS && parse_groups(attribute.data, group, family) != 0)
			return -EBADMSG;
	}
	return more;
}
