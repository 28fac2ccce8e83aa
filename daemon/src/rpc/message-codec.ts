/**
 * Unary messages between the wire and the interfaces of storage-messages.ts and admin-messages.ts, by
 * reflection over the .proto: camel case names, 64-bit integers as safe numbers, `fixed64` (an
 * identity) as bigint, enums as the lower-case rest of their names, absent messages as undefined.
 *
 * Not for the data path: frames have their own codec (storage-frame.ts).
 */
import type Long from 'long';
import protobuf from 'protobufjs';
import { StorageError } from './storage-error.js';
import { fromBigInt, toBigInt, toSafeNumber } from './uint64.js';

type Plain = Record<string, unknown>;

/** @param message has the type's fields; absent ones get their protobuf default */
export function encodeMessage(type: protobuf.Type, message: object): Buffer {
  const wire = toWire(type, message as Plain);
  return Buffer.from(type.encode(type.create(wire)).finish());
}

/** @throws StorageError 'invalid' when the bytes are not such a message */
export function decodeMessage(type: protobuf.Type, bytes: Uint8Array): unknown {
  let decoded: protobuf.Message;
  try {
    decoded = type.decode(bytes);
  } catch (error) {
    throw new StorageError('invalid', `not a ${type.name} message: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return fromWire(type, decoded as unknown as Plain);
}

/** EnumName's values as our strings: ATTACHMENT_STATE_ACTIVE of AttachmentState is 'active'. */
export function enumString(type: protobuf.Enum, number: number): string {
  const name = type.valuesById[number];
  if (name === undefined) throw new StorageError('invalid', `${type.name} has no value ${number}`);
  return name.slice(enumPrefix(type).length).toLowerCase().replaceAll('_', '-');
}

export function enumNumber(type: protobuf.Enum, string: string): number {
  const number = type.values[enumPrefix(type) + string.toUpperCase().replaceAll('-', '_')];
  if (number === undefined) throw new Error(`${type.name} has no value named ${string}`);
  return number;
}

function enumPrefix(type: protobuf.Enum): string {
  return `${type.name.replace(/(?<!^)([A-Z])/g, '_$1').toUpperCase()}_`;
}

function toWire(type: protobuf.Type, message: Plain): Plain {
  const wire: Plain = {};
  for (const field of type.fieldsArray) {
    const value = message[field.name];
    if (value === undefined) continue;
    wire[field.name] = field.repeated
      ? (value as unknown[]).map((element) => valueToWire(field, element))
      : valueToWire(field, value);
  }
  return wire;
}

function valueToWire(field: protobuf.Field, value: unknown): unknown {
  if (field.resolvedType instanceof protobuf.Type)
    return toWire(field.resolvedType, value as Plain);
  if (field.resolvedType instanceof protobuf.Enum)
    return enumNumber(field.resolvedType, value as string);
  if (field.type === 'fixed64') return fromBigInt(value as bigint);
  if (field.type === 'uint64') return toSafeNumber(value as number, field.fullName);
  return value;
}

function fromWire(type: protobuf.Type, wire: Plain): Plain {
  const message: Plain = {};
  for (const field of type.fieldsArray) {
    const value = wire[field.name];
    if (field.repeated) {
      message[field.name] = ((value ?? []) as unknown[]).map((element) =>
        valueFromWire(type, field, element),
      );
    } else {
      message[field.name] = valueFromWire(type, field, value);
    }
  }
  return message;
}

function valueFromWire(type: protobuf.Type, field: protobuf.Field, value: unknown): unknown {
  if (field.resolvedType instanceof protobuf.Type) {
    return value === null || value === undefined
      ? undefined
      : fromWire(field.resolvedType, value as Plain);
  }
  if (field.resolvedType instanceof protobuf.Enum)
    return enumString(field.resolvedType, (value ?? 0) as number);
  if (field.type === 'fixed64') return toBigInt(value as Long);
  if (field.type === 'uint64') return toSafeNumber(value as Long, `${type.name}.${field.name}`);
  return value;
}
