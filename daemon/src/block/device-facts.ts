/** What is known about a block device: its size, its limits and what it can do. */

/** How a device makes a single write durable. */
export type FuaSupport = 'native' | 'emulated';

export interface Capabilities {
  /** False: write, trim and write-zeroes are refused with EPERM. */
  readonly canWrite: boolean;
  /** Emulated: the write is followed by a flush inside the device. Either way FUA may be used. */
  readonly fua: FuaSupport;
  /** False: trim is answered with success and does nothing (it is advice). */
  readonly canTrim: boolean;
  /** True: write-zeroes costs much less than writing the bytes. */
  readonly canFastZero: boolean;
  /** False: block-status reports the whole device as data. */
  readonly canBlockStatus: boolean;
}

export interface DeviceFacts {
  /** A multiple of blockBytes; a safe integer. */
  readonly sizeBytes: number;
  /** Offsets and lengths are multiples of this power of two, 1 to 65536. */
  readonly blockBytes: number;
  /** The length at which requests are cheap; a power of two, at least blockBytes. */
  readonly preferredBytes: number;
  /** Most bytes of one read or write; other kinds may be longer. */
  readonly requestBytesMax: number;
  readonly capabilities: Capabilities;
}

/**
 * Most bytes of one read or write, in all rooms. 32 MiB is what the NBD text asks
 * portable clients to stay below, and what a server should accept.
 */
export const REQUEST_BYTES_MAX = 32 * 1024 * 1024;
