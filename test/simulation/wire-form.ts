/**
 * How a frame looks at the other end. In some histories it goes through the real codec and arrives as views
 * onto received bytes, perhaps with a damaged byte in its payload; in the others as the value it is, which is
 * faster.
 */
import {
  decodeClientFrame,
  decodeNodeFrame,
  encodeClientFrame,
  encodeNodeFrame,
} from '#daemon/rpc/storage-frame.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { ClientFrame, NodeFrame } from '#daemon/rpc/storage-messages.js';

export interface WireForm {
  /** Called when the frame is sent; the result gives it to the receiver. */
  toNode(frame: ClientFrame): () => ClientFrame | StorageError;
  toDaemon(frame: NodeFrame): () => NodeFrame;
}

export const VALUE_FORM: WireForm = {
  toNode: (frame) => () => frame,
  toDaemon: (frame) => () => frame,
};

/** @param isDamaged asked for each frame with a payload */
export function codecForm(isDamaged: () => boolean): WireForm {
  return {
    toNode: (frame) => {
      const bytes = toBytes(encodeClientFrame(frame));
      if (frame.kind === 'requests') damage(bytes, payloadBytesOf(frame), isDamaged);
      return () => {
        try {
          return decodeClientFrame(bytes);
        } catch (error) {
          if (error instanceof StorageError) return error;
          throw error;
        }
      };
    },
    toDaemon: (frame) => {
      const bytes = toBytes(encodeNodeFrame(frame));
      if (frame.kind === 'replies') damage(bytes, payloadBytesOf(frame), isDamaged);
      return () => decodeNodeFrame(bytes);
    },
  };
}

function toBytes(message: { length: number; copy(target: Buffer, at: number): number }): Buffer {
  const bytes = Buffer.alloc(message.length);
  message.copy(bytes, 0);
  return bytes;
}

function payloadBytesOf(frame: ClientFrame | NodeFrame): number {
  switch (frame.kind) {
    case 'requests':
      return frame.requests.reduce(
        (sum, { kind, lengthBytes }) => sum + (kind === 'write' ? lengthBytes : 0),
        0,
      );
    case 'replies':
      return frame.results.reduce((sum, { payload }) => sum + payload.length, 0);
    default:
      return 0;
  }
}

/** The payload is the end of a frame. Only it has a checksum; TCP's own guards the rest well enough. */
function damage(bytes: Buffer, payloadBytes: number, isDamaged: () => boolean): void {
  if (payloadBytes === 0 || !isDamaged()) return;
  const at = bytes.length - 1 - (bytes.length % payloadBytes);
  bytes[at] = (bytes[at] ?? 0) ^ 0x40;
}
