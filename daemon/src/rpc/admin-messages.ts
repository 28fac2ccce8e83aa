/**
 * The TypeScript side of admin.proto: names and fields of the .proto in camel case, uint64 as a safe
 * number, the enum as its lower-case name. A test holds the two against each other.
 */
import type { EventCount } from '../runtime/repeated-warnings.js';

export interface AttachRequestMessage {
  volume: string;
  node: string;
  exportName: string;
  readOnly: boolean;
  takeOver: boolean;
  device: DeviceChoice;
  deviceConnections: number;
  deviceBlockBytes: number;
  /** A UUID; empty: the daemon chooses. */
  attachmentId: string;
  standby: boolean;
}

export type DeviceChoice = 'unspecified' | 'none' | 'kernel';

export interface AttachReplyMessage {
  attachment: AttachmentMessage;
  existed: boolean;
  deviceProblem: string;
}

export interface DetachRequestMessage {
  exportName: string;
  force: boolean;
  /** None: whatever is attached under the name. */
  attachmentIds: string[];
  waitMs: number;
}

/** What a caller says of it; the rest is empty. */
export type DetachWish = Pick<DetachRequestMessage, 'exportName' | 'force'> &
  Partial<DetachRequestMessage>;

export interface DetachReplyMessage {
  absent: boolean;
  discardedBytes: number;
}

export interface ListAttachmentsReplyMessage {
  attachments: AttachmentMessage[];
}

export interface GetAttachmentRequestMessage {
  exportName: string;
}

export type AttachmentState =
  'unspecified' | 'connecting' | 'active' | 'holding' | 'failing' | 'draining' | 'fenced';

export interface AttachmentMessage {
  exportName: string;
  volume: string;
  volumeId: string;
  node: string;
  attachmentId: string;
  readOnly: boolean;
  generation: number;
  state: AttachmentState;
  detail: string;
  sizeBytes: number;
  blockBytes: number;
  uris: string[];
  clientCount: number;
  counters: CountersMessage | undefined;
  attachedUnixMs: number;
  device: KernelDeviceMessage | undefined;
  standby: boolean;
  worker: number;
}

export interface KernelDeviceMessage {
  path: string;
  link: string;
  major: number;
  minor: number;
  connections: number;
  blockBytes: number;
  liveConnections: number;
}

export interface CountersMessage {
  readRequests: number;
  readBytes: number;
  writeRequests: number;
  writeBytes: number;
  flushRequests: number;
  otherRequests: number;
  failedRequests: number;
  requestsInFlight: number;
  bytesInFlight: number;
  unflushedBytes: number;
  reconnects: number;
  requestsReplayed: number;
  damagedSessions: number;
}

export interface DaemonMessage {
  version: string;
  hostname: string;
  uptimeMs: number;
  residentBytes: number;
  attachmentCount: number;
  nbdListeners: string[];
  defaultNode: string;
  deviceProblem: string;
  insecure: boolean;
  certificateValidToMs: number;
  refusals: EventCount[];
  workers: number;
}

export interface FailNowRequestMessage {
  exportName: string;
}

export interface FailNowReplyMessage {
  requestsFailed: number;
  attachment: AttachmentMessage;
}

export interface RetryNowRequestMessage {
  exportName: string;
}

export interface RetryNowReplyMessage {
  attachment: AttachmentMessage;
}
