#include "errno_name.h"

#include <errno.h>
#include <stddef.h>

#define NAMED(error) { error, #error }

/* What fallocate(2), lseek(2), flock(2) and renameat2(2) may return, on local and network file systems. */
static const struct {
	int error;
	const char *name;
} NAMES[] = {
	NAMED(EACCES), NAMED(EAGAIN), NAMED(EBADF), NAMED(EBUSY), NAMED(EDQUOT), NAMED(EEXIST), NAMED(EFAULT),
	NAMED(EFBIG), NAMED(EINTR), NAMED(EINVAL), NAMED(EIO), NAMED(EISDIR), NAMED(ELOOP), NAMED(EMLINK),
	NAMED(ENAMETOOLONG), NAMED(ENODEV), NAMED(ENOENT), NAMED(ENOLCK), NAMED(ENOMEM), NAMED(ENOSPC),
	NAMED(ENOSYS), NAMED(ENOTDIR), NAMED(ENOTEMPTY), NAMED(ENXIO), NAMED(EOPNOTSUPP), NAMED(EOVERFLOW),
	NAMED(EPERM), NAMED(EROFS), NAMED(ESPIPE), NAMED(ESTALE), NAMED(ETIMEDOUT), NAMED(ETXTBSY), NAMED(EXDEV),
};

const char *bf_errno_name(int error)
{
	for (size_t index = 0; index < sizeof(NAMES) / sizeof(NAMES[0]); index++) {
		if (NAMES[index].error == error)
			return NAMES[index].name;
	}
	return "EUNKNOWN";
}
