/**
 * The TypeScript side of storage.proto. Messages of the unary calls have the names and fields of the
 * .proto in camel case (a test holds the two against each other); uint64 arrives as a safe integer,
 * a write verifier as bigint, which is compared and never calculated with.
 *
 * The frames of a session are not protobufjs objects: storage-frame.ts encodes and decodes them
 * straight from and to block requests and results.
 */
import type { BlockRequest, BlockResult } from '../block/block-request.js';
import type { Capabilities } from '../block/device-facts.js';
import type { EventCount } from '../runtime/repeated-warnings.js';
import type { Sealed } from './frame-seal.js';

export interface NodeMessage {
  nodeId: string;
  software: string;
  backends: string[];
  writeVerifier: bigint;
  freeBytes: number;
  totalBytes: number;
  uptimeMs: number;
  volumeCount: number;
  sessionCount: number;
  insecure: boolean;
  certificateValidToMs: number;
  refusals: EventCount[];
  /** Sessions by the worker that serves them. Empty: one thread does everything. */
  workerSessions: number[];
}

export interface LeaseHolderMessage {
  attachmentId: string;
  description: string;
  sinceUnixMs: number;
  connected: boolean;
}

export interface VolumeMessage {
  volumeId: string;
  name: string;
  sizeBytes: number;
  blockBytes: number;
  backend: string;
  allocatedBytes: number;
  createdUnixMs: number;
  generation: number;
  holder: LeaseHolderMessage | undefined;
  sessionCount: number;
}

export interface CreateVolumeRequestMessage {
  name: string;
  sizeBytes: number;
  /** 0: the node's default. */
  blockBytes: number;
  /** Empty: the node's default. */
  backend: string;
}

export interface CreateVolumeReplyMessage {
  volume: VolumeMessage;
  existed: boolean;
}

export interface ResizeVolumeRequestMessage {
  name: string;
  sizeBytes: number;
  allowShrink: boolean;
}

export interface DeleteVolumeRequestMessage {
  name: string;
  /** Empty: whichever volume has the name. */
  volumeId: string;
}

export interface AcquireLeaseRequestMessage {
  volumeId: string;
  attachmentId: string;
  description: string;
  expectedGeneration: number;
  takeOver: boolean;
}

export interface LeaseMessage {
  generation: number;
  volume: VolumeMessage;
  expiresAfterMs: number;
}

export interface ReleaseLeaseRequestMessage {
  volumeId: string;
  attachmentId: string;
  generation: number;
}

export type ChecksumKind = 'none' | 'crc32c';

export interface OpenFrame extends Sealed {
  readonly kind: 'open';
  readonly volumeId: string;
  readonly attachmentId: string;
  /** 0: read-only. */
  readonly generation: number;
  readonly streamIndex: number;
  readonly checksum: ChecksumKind;
  /** Zeroes of a read may come as a length (block/zeroes.ts). */
  readonly takesHoles: boolean;
}

export interface OpenedFrame extends Sealed {
  readonly kind: 'opened';
  readonly writeVerifier: bigint;
  readonly volume: VolumeMessage;
  readonly capabilities: Capabilities;
  readonly preferredBytes: number;
  readonly requestBytesMax: number;
  readonly checksum: ChecksumKind;
  /** Where the seals of this session begin; below 2^32. */
  readonly frameSalt: number;
  readonly requestsInFlightMax: number;
  readonly bytesInFlightMax: number;
}

/** requests[i] is named sequences[i]; both have the same length. */
export interface RequestBatchFrame extends Sealed {
  readonly kind: 'requests';
  readonly sequences: readonly number[];
  readonly requests: readonly BlockRequest[];
}

/** results[i] answers sequences[i]; both have the same length. */
export interface ReplyBatchFrame extends Sealed {
  readonly kind: 'replies';
  readonly sequences: readonly number[];
  readonly results: readonly BlockResult[];
  /** 0n when the batch answers neither a flush nor a request with FUA. */
  readonly writeVerifier: bigint;
  /** The holes of reads go as lengths, to a client that takes them. Not told of what was received. */
  readonly leavesHolesOut?: boolean;
}

export interface PingFrame extends Sealed {
  readonly kind: 'ping' | 'pong';
  readonly number: number;
}

export interface ResizedFrame extends Sealed {
  readonly kind: 'resized';
  /** What the volume has now. */
  readonly sizeBytes: number;
}

export type ClientFrame = OpenFrame | RequestBatchFrame | PingFrame;
export type NodeFrame = OpenedFrame | ReplyBatchFrame | PingFrame | ResizedFrame;
