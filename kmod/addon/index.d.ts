/**
 * The system calls Node has no door for; this is the whole surface. All numbers are non-negative safe
 * integers, offsets and lengths in bytes, file descriptors and modes below 2^31; anything else throws a
 * TypeError or RangeError. Failures throw an Error with `code` ("ENOSPC"), `errno` (negative) and
 * `syscall`, as Node's own do. If the add-on was not built, or from an older version, every call that is
 * missing throws an Error that says how to build it.
 */

/**
 * fallocate(2). With PUNCH_HOLE | KEEP_SIZE the range reads as zeroes and gives its space back; with
 * ZERO_RANGE | KEEP_SIZE it reads as zeroes and stays allocated.
 * @throws EOPNOTSUPP where the file system cannot do it, ENOSPC, EIO
 */
export function fallocate(fd: number, mode: number, offsetBytes: number, lengthBytes: number): void;

/**
 * The same on a thread of its own, for disks that are slow. The descriptor must stay open until it is over.
 * @throws EAGAIN when 256 such calls are under way; rejects with what `fallocate` throws
 */
export function fallocateAway(
  fd: number,
  mode: number,
  offsetBytes: number,
  lengthBytes: number,
): Promise<void>;

/** Where data begins at or after the offset; -1 if there is none up to the end of the file. Moves the file position. */
export function seekData(fd: number, offsetBytes: number): number;

/** Where a hole begins at or after the offset (the end of the file counts as one); -1 beyond the end. Moves the file position. */
export function seekHole(fd: number, offsetBytes: number): number;

/**
 * Where data lies from the offset up to the end, by SEEK_DATA and SEEK_HOLE: first byte and end of each piece, one after
 * the other, of at most `piecesMax` and 1024 pieces. The last may reach beyond the end.
 * @throws EINVAL, EIO
 */
export function dataRuns(
  fd: number,
  offsetBytes: number,
  endBytes: number,
  piecesMax: number,
): number[];

/**
 * The same on a thread of its own, for disks that are slow. The descriptor must stay open until it is over.
 * @throws EAGAIN when 256 such calls are under way; rejects with what `dataRuns` throws
 */
export function dataRunsAway(
  fd: number,
  offsetBytes: number,
  endBytes: number,
  piecesMax: number,
): Promise<number[]>;

/**
 * preadv2(2) with RWF_NOWAIT: fills the buffer from the page cache, as far as that goes without waiting for a disk.
 * @returns how many bytes; -1 if none could be had so; 0 at the end of the file
 * @throws EOPNOTSUPP where the file system cannot say (FUSE, some of the network)
 */
export function readCached(fd: number, buffer: Buffer, offsetBytes: number): number;

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

/**
 * socketpair(2): two ends of a stream, AF_UNIX, close-on-exec. The first is for the kernel, the second,
 * non-blocking, for this process.
 */
export function socketPair(): [kernelEnd: number, daemonEnd: number];

/** What the NBD generic netlink interface is asked to make. Seconds, bytes; flags as in the NBD protocol. */
export interface NbdConnectRequest {
  /** Absent: the kernel chooses, and makes a device if none is free. */
  readonly index?: number;
  readonly sizeBytes: number;
  /** Logical block size: a power of two, 512 to the page size. */
  readonly blockBytes: number;
  /** NBD transmission flags (NBD_FLAG_*): HAS_FLAGS, READ_ONLY, SEND_FLUSH, ... */
  readonly serverFlags: number;
  /** NBD_CFLAG_*. */
  readonly clientFlags: number;
  /** NBD_ATTR_TIMEOUT; 0: the kernel warns and goes on waiting. At most 4294967, its ticks have 32 bits. */
  readonly requestTimeoutSeconds: number;
  /** NBD_ATTR_DEAD_CONN_TIMEOUT: how long requests wait for new sockets. At most 4294967. */
  readonly deadConnectionTimeoutSeconds: number;
  /** NBD_ATTR_BACKEND_IDENTIFIER: only who names it may reconfigure the device. 1 to 255 bytes, none of them zero. */
  readonly backendIdentifier: string;
  /**
   * Connected stream sockets, one for each hardware queue, at most 64; more than one needs
   * NBD_FLAG_CAN_MULTI_CONN. The kernel takes its own references: the caller closes them, even at once.
   */
  readonly socketFds: readonly number[];
}

/** What is left out stays as it is. */
export interface NbdReconfigureRequest {
  readonly index: number;
  readonly backendIdentifier: string;
  /** Waits for requests in flight: see below. */
  readonly sizeBytes?: number;
  /** Replace dead sockets, each the next dead one; the kernel ignores them silently while none is dead. */
  readonly socketFds?: readonly number[];
  readonly requestTimeoutSeconds?: number;
  readonly deadConnectionTimeoutSeconds?: number;
}

export interface NbdDeviceStatus {
  readonly index: number;
  readonly connected: boolean;
}

/*
 * The calls of the NBD netlink interface. Each runs on a thread of its own, neither the caller's nor one of
 * libuv's pool: the kernel may wait for this very process to serve the device while it handles them (a socket
 * that is full, a queue that is being emptied). It handles one at a time, of all programs, and nothing ends
 * one but what it waits for: close the sockets of a device that does not answer before asking for its end.
 *
 * A new size waits for the answers to all requests in flight (seen with Linux 6.12). Should this process end or
 * lose the device's only socket meanwhile, they are never answered: no device can be reconfigured or
 * disconnected any more, what is left of the process cannot be killed, and the machine has to be restarted.
 * So ask for it only when answers are a matter of milliseconds.
 *
 * Wrong arguments are thrown at once. Rejections are Errors with `code`, `errno` and `syscall`
 * ("NBD_CMD_CONNECT"), their message ends with the kernel's own words where it gave some (extended
 * acknowledgement). ENOENT with syscall "CTRL_CMD_GETFAMILY": the nbd module is not loaded. ETIMEDOUT,
 * ENOBUFS, EBADMSG, ENODATA: the kernel's answer was lost or not understood; what was asked may have been done.
 */

/**
 * @returns the index of the device
 * @throws EBUSY if the index is in use, EINVAL for sizes, sockets or flags the kernel does not take, EPERM
 */
export function nbdConnect(request: NbdConnectRequest): Promise<number>;
/** @throws EINVAL if the device is not connected or has another identifier (the kernel's log tells which), EPERM */
export function nbdReconfigure(request: NbdReconfigureRequest): Promise<void>;
/**
 * Outstanding requests fail with EIO; the sockets are shut down. Of a device that is not connected: nothing
 * happens.
 * @throws EINVAL if there is no such device, EPERM
 */
export function nbdDisconnect(index: number): Promise<void>;
/** All devices, or one: an empty list if there is none of that index. At most 3276, the kernel cuts a longer list. */
export function nbdStatus(index?: number): Promise<NbdDeviceStatus[]>;

export interface NbdEvent {
  /** The kernel gave a socket of this device up. */
  readonly kind: 'link-dead';
  readonly index: number;
}

/**
 * Listens to the multicast group of the NBD interface; does not keep the process alive.
 * @param onEvent events, on the main thread; the kernel drops some when there are too many: a hint, no account
 * @returns resolves once it listens, to the function that ends it: no event comes after that was called
 * @throws as the calls above: joining the group may have to wait for one of them
 */
export function nbdWatch(onEvent: (event: NbdEvent) => void): Promise<() => void>;

export const NBD_CFLAG_DESTROY_ON_DISCONNECT: number;
export const NBD_CFLAG_DISCONNECT_ON_CLOSE: number;

/**
 * prctl(PR_SET_IO_FLUSHER) of the calling thread: memory it needs is found without waiting for write-back,
 * which might be waiting for this process. Threads and programs started afterwards inherit it.
 * @throws EPERM without CAP_SYS_RESOURCE
 */
export function setIoFlusher(on: boolean): void;
/** False also where the kernel does not say: without CAP_SYS_RESOURCE, before Linux 5.6. */
export function isIoFlusher(): boolean;

/**
 * prctl(PR_SET_DUMPABLE, 0): the kernel writes no core dump of this process, neither to a file nor to a handler, to
 * which no limit applies; and only root may trace it or look into its /proc folder. Ends with execve.
 */
export function forbidCoreDumps(): void;

/**
 * How often the calling thread went to sleep to wait for something (getrusage, ru_nvcsw). Not counted is when it was made
 * to wait, because others had the processor.
 */
export function timesSlept(): number;

/**
 * mlock2(MLOCK_ONFAULT) of one mapping: its pages, once touched, are never paged out. There is no mlockall
 * here: V8 ends the process when the kernel refuses to discard a locked page (MADV_DONTNEED: EINVAL).
 * @param address of a page, as in /proc/self/maps
 * @throws ENOMEM, EPERM
 */
export function lockPages(address: number, lengthBytes: number): void;

/**
 * execve(2): this process goes on as another program, with the same process id, standard streams, and what
 * else is not close-on-exec; Node makes it so whatever it inherits or opens. SIGPIPE stays ignored as Node
 * has it, the other threads end where they are. Returns only by throwing.
 * @param environment "NAME=value"
 * @throws E2BIG, EACCES, ENOENT, ENOEXEC; the process goes on
 */
export function replaceProcess(
  path: string,
  programArguments: readonly string[],
  environment: readonly string[],
): never;

/**
 * One datagram to a unix socket, for service managers; a path that begins with "@" is abstract. Never waits.
 * @throws EAGAIN if the receiver has no room now, ENOENT or ECONNREFUSED if there is none
 */
export function sendDatagram(socketPath: string, message: string): void;

/**
 * Whether the other end of a connected stream is closed, also while data that it sent is unread. Over TCP an end that
 * has only said that it sends nothing more counts too; on a unix socket it does not. Never waits.
 * @throws ENOTSOCK, EBADF
 */
export function hasHungUp(fd: number): boolean;

/** fcntl(2) F_DUPFD_CLOEXEC. @returns another descriptor of the same socket or file @throws EBADF, EMFILE */
export function duplicateFd(fd: number): number;
