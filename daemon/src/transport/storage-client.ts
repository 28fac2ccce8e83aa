/**
 * What the daemon's rooms see of a storage node: typed calls and sessions, without gRPC.
 * grpc-storage-client.ts is the real one; tests and the simulator bring their own.
 */
import type { BlockRequest, BlockResult } from '../block/block-request.js';
import type {
  AcquireLeaseRequestMessage,
  CreateVolumeReplyMessage,
  CreateVolumeRequestMessage,
  DeleteVolumeRequestMessage,
  LeaseMessage,
  NodeMessage,
  OpenedFrame,
  OpenFrame,
  ReleaseLeaseRequestMessage,
  ResizeVolumeRequestMessage,
  VolumeMessage,
} from '../rpc/storage-messages.js';
import type { StorageError } from '../rpc/storage-error.js';

/** All promises reject with StorageError, at the latest when the call's deadline is over. */
export interface StorageClient {
  /** host:port or unix:/path, for messages. */
  readonly address: string;

  /** @param timeoutMs a deadline of its own */
  getNode(timeoutMs?: number): Promise<NodeMessage>;
  createVolume(request: CreateVolumeRequestMessage): Promise<CreateVolumeReplyMessage>;
  /** Sorted by name. */
  listVolumes(): Promise<VolumeMessage[]>;
  getVolume(name: string): Promise<VolumeMessage>;
  resizeVolume(request: ResizeVolumeRequestMessage): Promise<VolumeMessage>;
  deleteVolume(request: DeleteVolumeRequestMessage): Promise<void>;
  acquireLease(request: AcquireLeaseRequestMessage): Promise<LeaseMessage>;
  releaseLease(request: ReleaseLeaseRequestMessage): Promise<void>;

  /** Starts a session; events arrive after this call has returned. */
  openSession(open: Omit<OpenFrame, 'kind'>, events: SessionEvents): StorageSession;

  /**
   * Calls back once, when the node is connected that is not now; never if it is. A wait between two tries can end then.
   * @returns what takes that back
   */
  onceConnected?(callback: () => void): () => void;

  /** Breaks the connection: open sessions end, calls reject. */
  close(): void;
}

export interface SessionEvents {
  /** The node accepted the session. Exactly once, before any completion. */
  opened(facts: OpenedFrame): void;
  /** A request was answered. Once for each sequence sent, unless the session ends before. */
  completed(sequence: number, result: BlockResult): void;
  /**
   * The node's write verifier as of a flush or FUA reply, before the `completed` it belongs to.
   * Another value than in `opened` means that the node may have lost unflushed writes.
   */
  verifierSeen(writeVerifier: bigint): void;
  /** The volume has this many bytes now. */
  resized(sizeBytes: number): void;
  /**
   * The session is over; what was not completed is unanswered. Exactly once, also when it never
   * opened, and nothing follows. Not called after `close`.
   */
  ended(reason: StorageError): void;
}

export interface StorageSession {
  /**
   * Sends a request; allowed after `opened`. Sequences rise strictly. Requests sent in one turn of
   * the event loop travel in one frame. What is sent is bounded by the caller (in-flight table).
   */
  send(sequence: number, request: BlockRequest): void;
  /** Ends the session now. No event follows. Unanswered requests may or may not take effect. */
  close(): void;
}
