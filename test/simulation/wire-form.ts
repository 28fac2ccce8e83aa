/**
 * How a frame looks at the other end. In some histories it goes through the real codec and arrives as views
 * onto received bytes, perhaps with a damaged byte anywhere; in the others as the value it is, which is
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
  toDaemon(frame: NodeFrame): () => NodeFrame | StorageError;
}

export const VALUE_FORM: WireForm = {
  toNode: (frame) => () => frame,
  toDaemon: (frame) => () => frame,
};

/** @param damagedByte asked for each frame of so many bytes; undefined: it arrives as it was sent */
export function codecForm(damagedByte: (frameBytes: number) => number | undefined): WireForm {
  return {
    toNode: (frame) => {
      const bytes = damaged(toBytes(encodeClientFrame(frame)), damagedByte);
      return () => orRefusal(() => decodeClientFrame(bytes));
    },
    toDaemon: (frame) => {
      const bytes = damaged(toBytes(encodeNodeFrame(frame)), damagedByte);
      return () => orRefusal(() => decodeNodeFrame(bytes));
    },
  };
}

function orRefusal<Frame>(decode: () => Frame): Frame | StorageError {
  try {
    return decode();
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
}

function toBytes(message: { length: number; copy(target: Buffer, at: number): number }): Buffer {
  const bytes = Buffer.alloc(message.length);
  message.copy(bytes, 0);
  return bytes;
}

function damaged(bytes: Buffer, damagedByte: (frameBytes: number) => number | undefined): Buffer {
  const at = damagedByte(bytes.length);
  if (at !== undefined) bytes[at] = (bytes[at] ?? 0) ^ 0x40;
  return bytes;
}
