/*
 * Listening to what the NBD driver tells everybody: a thread that sleeps until the kernel says something or it
 * is to end. What is lost when too much is said at once stays lost: the messages are hints.
 */
#ifndef BLKFERRY_NBD_WATCH_H
#define BLKFERRY_NBD_WATCH_H

#include <pthread.h>
#include <stdint.h>

#include "genl_socket.h"

/* The kernel gave a socket of this device up. Called on the watch's thread. */
typedef void bf_link_dead(void *context, uint32_t index);

struct bf_nbd_watch {
	struct bf_genl genl;
	uint16_t family;
	/* eventfd(2): readable when the thread is to end. */
	int end;
	pthread_t thread;
	bf_link_dead *link_dead;
	void *context;
};

/* Joins the group; may wait for the kernel as every call may. 0, or -1 with the failure filled in. */
int bf_nbd_watch_open(struct bf_nbd_watch *watch, struct bf_failure *failure);
/* After a successful open, and instead of begin and end. */
void bf_nbd_watch_close(struct bf_nbd_watch *watch);

/* After a successful open: starts the thread. 0, or -errno, and the watch is closed. */
int bf_nbd_watch_begin(struct bf_nbd_watch *watch, bf_link_dead *link_dead, void *context);
/* After begin: the thread is gone when it returns, and the watch is closed. */
void bf_nbd_watch_end(struct bf_nbd_watch *watch);

#endif
