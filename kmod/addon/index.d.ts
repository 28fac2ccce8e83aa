/**
 * The system calls Node has no door for; this is the whole surface. All numbers are non-negative safe
 * integers, offsets and lengths in bytes, file descriptors and modes below 2^31; anything else throws a
 * TypeError or RangeError. Failures throw an Error with `code` ("ENOSPC"), `errno` (negative) and
 * `syscall`, as Node's own do. If the add-on was not built, every call throws an Error that says how to
 * build it.
 */

/**
 * fallocate(2). With PUNCH_HOLE | KEEP_SIZE the range reads as zeroes and gives its space back; with
 * ZERO_RANGE | KEEP_SIZE it reads as zeroes and stays allocated.
 * @throws EOPNOTSUPP where the file system cannot do it, ENOSPC, EIO
 */
export function fallocate(fd: number, mode: number, offsetBytes: number, lengthBytes: number): void;

/** Where data begins at or after the offset; -1 if there is none up to the end of the file. Moves the file position. */
export function seekData(fd: number, offsetBytes: number): number;

/** Where a hole begins at or after the offset (the end of the file counts as one); -1 beyond the end. Moves the file position. */
export function seekHole(fd: number, offsetBytes: number): number;

/** flock(2), exclusive. Returns false if another open file holds it. Given up when the fd is closed. */
export function lockExclusive(fd: number): boolean;

/**
 * renameat2(2) with RENAME_EXCHANGE: each of two existing files gets the other's name, in one step.
 * @throws EINVAL or ENOSYS where the file system cannot do it, ENOENT if one of them is not there
 */
export function exchangeNames(firstPath: string, secondPath: string): void;

export const FALLOC_FL_KEEP_SIZE: number;
export const FALLOC_FL_PUNCH_HOLE: number;
export const FALLOC_FL_ZERO_RANGE: number;
