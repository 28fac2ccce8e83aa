/*
 * The names of errno values, as Node uses them for an error's `code`. strerrorname_np() of the C library
 * is newer than the systems that storage nodes run on (glibc 2.32; musl has none).
 */
#ifndef BLKFERRY_ERRNO_NAME_H
#define BLKFERRY_ERRNO_NAME_H

/* "ENOSPC" for ENOSPC; "EUNKNOWN" for what the calls of this add-on do not return. */
const char *bf_errno_name(int error);

#endif
