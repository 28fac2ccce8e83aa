/**
 * What the checker writes into each block: who wrote it, where it belongs, and which write it was, covered
 * by a CRC. A block read back tells by itself whether it is torn, in the wrong place, of another volume, or
 * from which moment.
 *
 *    0  magic         8 bytes        32  serial   u64, the number of the write
 *    8  owner tag    16 bytes        40  filler   depends on the serial
 *   24  block number  u64          4092  CRC-32C  of everything before it
 */
import { createHash } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';

/** One stamped block: the page of Linux and the sector of most disks; nothing smaller is torn by us. */
export const STAMP_BYTES = 4096;

const MAGIC = Buffer.from('BLKSTAMP', 'latin1');
const TAG_BYTES = 16;
const TAG_AT = 8;
const BLOCK_AT = 24;
const SERIAL_AT = 32;
const FILLER_AT = 40;
const CRC_AT = STAMP_BYTES - 4;
const FILLER_BYTES = CRC_AT - FILLER_AT;

const ZEROES = Buffer.alloc(STAMP_BYTES);

/** What was found in a block. */
export type BlockContent =
  | { readonly kind: 'zeroes' }
  | { readonly kind: 'stamp'; readonly block: number; readonly serial: number }
  /** Neither zeroes nor a whole stamp of this owner. */
  | { readonly kind: 'strange'; readonly detail: string };

export class Stamps {
  readonly #tag: Buffer;
  /** Filler is a window of this, moved by the serial, so that two writes differ in most bytes. */
  readonly #noise: Buffer;

  /** @param owner a text that no other run uses, as the volume's id with a random part */
  constructor(owner: string) {
    this.#tag = createHash('sha256').update(owner).digest().subarray(0, TAG_BYTES);
    const pieces: Buffer[] = [];
    for (let piece = 0; piece < 2 * (STAMP_BYTES / 32); piece += 1) {
      pieces.push(createHash('sha256').update(`${owner} ${piece}`).digest());
    }
    this.#noise = Buffer.concat(pieces);
  }

  /** The data of one write: consecutive blocks with the same serial. */
  blocks(firstBlock: number, blockCount: number, serial: number): Buffer {
    const data = Buffer.allocUnsafe(blockCount * STAMP_BYTES);
    for (let index = 0; index < blockCount; index += 1) {
      this.#write(data.subarray(index * STAMP_BYTES), firstBlock + index, serial);
    }
    return data;
  }

  /** @param bytes exactly STAMP_BYTES */
  read(bytes: Buffer): BlockContent {
    if (bytes.equals(ZEROES)) return { kind: 'zeroes' };
    if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
      return strange(`holds neither zeroes nor a stamp, it begins with ${beginning(bytes)}`);
    }
    if (bytes.readUInt32LE(CRC_AT) !== crc32c(bytes.subarray(0, CRC_AT))) {
      const serial = bytes.readBigUInt64LE(SERIAL_AT);
      return strange(`is torn or damaged: the CRC of its stamp (write ${serial}) does not fit`);
    }
    if (!bytes.subarray(TAG_AT, TAG_AT + TAG_BYTES).equals(this.#tag)) {
      return strange('holds a stamp of another volume, or of an earlier run');
    }
    return {
      kind: 'stamp',
      block: Number(bytes.readBigUInt64LE(BLOCK_AT)),
      serial: Number(bytes.readBigUInt64LE(SERIAL_AT)),
    };
  }

  #write(target: Buffer, block: number, serial: number): void {
    MAGIC.copy(target, 0);
    this.#tag.copy(target, TAG_AT);
    target.writeBigUInt64LE(BigInt(block), BLOCK_AT);
    target.writeBigUInt64LE(BigInt(serial), SERIAL_AT);
    const from = (serial * 61 + block) % STAMP_BYTES;
    this.#noise.copy(target, FILLER_AT, from, from + FILLER_BYTES);
    target.writeUInt32LE(crc32c(target.subarray(0, CRC_AT)), CRC_AT);
  }
}

function strange(detail: string): BlockContent {
  return { kind: 'strange', detail };
}

function beginning(bytes: Buffer): string {
  return `0x${bytes.subarray(0, MAGIC.length).toString('hex')}`;
}
