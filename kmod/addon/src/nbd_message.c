#include "nbd_message.h"

#include <errno.h>
#include <stdlib.h>

#include <linux/nbd-netlink.h>

/* Since Linux 5.14; headers of older systems do not have the name, and their kernels pass it over. */
#define IDENTIFIER_ATTRIBUTE 10

static void put_sockets(struct bf_message *message, const int *sockets, size_t count)
{
	size_t list = bf_nest_begin(message, NBD_ATTR_SOCKETS);

	for (size_t place = 0; place < count; place++) {
		size_t item = bf_nest_begin(message, NBD_SOCK_ITEM);

		bf_put_u32(message, NBD_SOCK_FD, (uint32_t)sockets[place]);
		bf_nest_end(message, item);
	}
	bf_nest_end(message, list);
}

size_t bf_build_nbd_request(void *bytes, size_t size, uint16_t family, uint8_t command,
			    const struct bf_nbd_settings *settings)
{
	struct bf_message message;

	bf_message_begin(&message, bytes, size, family, command, NBD_GENL_VERSION);
	if (settings->given & BF_NBD_INDEX)
		bf_put_u32(&message, NBD_ATTR_INDEX, settings->index);
	if (settings->given & BF_NBD_SIZE)
		bf_put_u64(&message, NBD_ATTR_SIZE_BYTES, settings->size);
	if (settings->given & BF_NBD_BLOCK_SIZE)
		bf_put_u64(&message, NBD_ATTR_BLOCK_SIZE_BYTES, settings->block_size);
	if (settings->given & BF_NBD_TIMEOUT)
		bf_put_u64(&message, NBD_ATTR_TIMEOUT, settings->timeout);
	if (settings->given & BF_NBD_SERVER_FLAGS)
		bf_put_u64(&message, NBD_ATTR_SERVER_FLAGS, settings->server_flags);
	if (settings->given & BF_NBD_CLIENT_FLAGS)
		bf_put_u64(&message, NBD_ATTR_CLIENT_FLAGS, settings->client_flags);
	if (settings->given & BF_NBD_DEAD_TIMEOUT)
		bf_put_u64(&message, NBD_ATTR_DEAD_CONN_TIMEOUT, settings->dead_timeout);
	if (settings->identifier[0] != '\0')
		bf_put_text(&message, IDENTIFIER_ATTRIBUTE, settings->identifier);
	if (settings->socket_count > 0)
		put_sockets(&message, settings->sockets, settings->socket_count);
	return bf_message_end(&message);
}

int bf_parse_nbd_index(struct bf_reader attributes, uint32_t *index)
{
	struct bf_attribute attribute;
	bool is_found = false;
	int more;

	while ((more = bf_next_attribute(&attributes, &attribute)) == 1) {
		if (attribute.type != NBD_ATTR_INDEX)
			continue;
		if (bf_read_u32(&attribute, index) != 0)
			return -EBADMSG;
		is_found = true;
	}
	return more == 0 && is_found ? 0 : -EBADMSG;
}

static int add_device(struct bf_nbd_devices *devices, struct bf_nbd_device device)
{
	if (devices->count == devices->room) {
		size_t room = devices->room == 0 ? 16 : 2 * devices->room;
		struct bf_nbd_device *list = reallocarray(devices->list, room, sizeof(*list));

		if (list == NULL)
			return -ENOMEM;
		devices->list = list;
		devices->room = room;
	}
	devices->list[devices->count++] = device;
	return 0;
}

static int parse_device(struct bf_reader reader, struct bf_nbd_devices *devices)
{
	struct bf_attribute attribute;
	struct bf_nbd_device device = { 0 };
	bool has_index = false, has_state = false;
	uint8_t state;
	int more;

	while ((more = bf_next_attribute(&reader, &attribute)) == 1) {
		if (attribute.type == NBD_DEVICE_INDEX) {
			if (bf_read_u32(&attribute, &device.index) != 0)
				return -EBADMSG;
			has_index = true;
		} else if (attribute.type == NBD_DEVICE_CONNECTED) {
			if (bf_read_u8(&attribute, &state) != 0)
				return -EBADMSG;
			device.is_connected = state != 0;
			has_state = true;
		}
	}
	if (more != 0 || !has_index || !has_state)
		return -EBADMSG;
	return add_device(devices, device);
}

/*
 * The kernel does not look whether the length of the list fits into its 16 bits (3276 devices do). A list
 * that was cut so has the rest of its items behind it, where they are refused: NBD_DEVICE_ITEM has the number
 * of NBD_ATTR_INDEX and another length.
 */
int bf_parse_nbd_devices(struct bf_reader attributes, struct bf_nbd_devices *devices)
{
	struct bf_attribute attribute, item;
	uint32_t unused;
	int more, error;

	while ((more = bf_next_attribute(&attributes, &attribute)) == 1) {
		if (attribute.type == NBD_ATTR_INDEX && bf_read_u32(&attribute, &unused) != 0)
			return -EBADMSG;
		if (attribute.type != NBD_ATTR_DEVICE_LIST)
			continue;
		while ((more = bf_next_attribute(&attribute.data, &item)) == 1) {
			error = item.type == NBD_DEVICE_ITEM ? parse_device(item.data, devices) : 0;
			if (error != 0)
				return error;
		}
		if (more != 0)
			return more;
	}
	return more;
}
