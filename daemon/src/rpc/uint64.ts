/**
 * 64-bit numbers of the wire as numbers of ours. Everything the protocol counts stays below 2^53;
 * what does not is refused rather than rounded.
 */
import Long from 'long';
import { StorageError } from './storage-error.js';

export const TWO_32 = 0x1_0000_0000;

/** @throws StorageError 'invalid' above 2^53 - 1 */
export function toSafeNumber(value: Long | number, field: string): number {
  const number = typeof value === 'number' ? value : value.toNumber();
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new StorageError('invalid', `${field} is ${String(value)}, beyond 2^53 - 1`);
  }
  return number;
}

/** For identities, which use all 64 bits. */
export function toBigInt(value: Long): bigint {
  return BigInt.asUintN(64, (BigInt(value.high) << 32n) | BigInt(value.low >>> 0));
}

export function fromBigInt(value: bigint): Long {
  return Long.fromBits(
    Number(value & 0xffff_ffffn) | 0,
    Number((value >> 32n) & 0xffff_ffffn) | 0,
    true,
  );
}
