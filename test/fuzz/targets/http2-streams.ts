/**
 * A session's connection, both ends: HTTP/2 with one stream, and the messages in its data. Rules: only Http2Error and
 * StorageError; the same however the bytes are cut; windows stay within what the RFC allows, and no more is taken than
 * they say; what is answered is whole frames, and not more than came.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { Http2Error } from '#daemon/http2/http2-error.js';
import { SingleStream } from '#daemon/http2/single-stream.js';
import { MessageAssembler } from '#daemon/rpc/message-assembler.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import {
  FLAG,
  FRAME,
  MAGIC,
  callHeaders,
  data,
  frame,
  framesOf,
  goAway,
  grpcMessage,
  headerField,
  headers,
  paddedData,
  ping,
  reset,
  settings,
  windowUpdate,
} from '#test/support/http2-frames.js';
import { require, type FuzzTarget } from '../fuzz-target.js';
import { choices, pieces } from './stream-pieces.js';

/** So small that an input can go beyond them. */
const WINDOW_BYTES = 2000;
const FRAME_BYTES_MAX = 1500;
const MESSAGE_BYTES_MAX = 700;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** Bits of the first byte of an input. */
const FORM = { begun: 1, holds: 2, sends: 4 };

type Role = 'client' | 'server';

class HeardEnd {
  /** What was told, but for how data was cut. */
  readonly told: unknown[] = [];
  readonly stream: SingleStream;
  messageBytes = 0;
  answerBytes = 0;
  #taken = 0;
  #givenBack = 0;
  #holds = 0;

  constructor(
    role: Role,
    readonly form: number,
  ) {
    const assembler = new MessageAssembler(MESSAGE_BYTES_MAX, (parts) => {
      const message = Buffer.concat(parts);
      require(message.length <= MESSAGE_BYTES_MAX, `a message of ${message.length} bytes`);
      this.messageBytes += message.length;
      this.told.push(message);
      if ((form & FORM.holds) === 0) return;
      this.#holds += 1;
      this.stream.hold(this.#holds % 2 === 1);
    });
    this.stream = new SingleStream(
      { role, windowBytes: WINDOW_BYTES, frameBytesMax: FRAME_BYTES_MAX },
      {
        control: (bytes) => {
          this.#control(bytes);
        },
        headers: (fields, isLast) => this.told.push([fields, isLast]),
        data: (view) => {
          this.#taken += view.length;
          assembler.push(view);
        },
        ended: () => this.told.push('ended'),
        aborted: (reason) => this.told.push(reason),
        room: () => {
          this.#room();
        },
        answered: () => this.told.push('answered'),
      },
    );
  }

  #control(bytes: Buffer): void {
    const frames = framesOf(bytes);
    const wholeBytes = frames.reduce((sum, { payload }) => sum + 9 + payload.length, 0);
    require(wholeBytes === bytes.length, 'an answer is not whole frames');
    for (const { type, streamId, payload } of frames) {
      if (type === FRAME.windowUpdate) {
        if (streamId === 0) this.#givenBack += payload.readUInt32BE();
        continue;
      }
      require(type === FRAME.settings || type === FRAME.ping, `answered with type ${type}`);
      this.answerBytes += 9 + payload.length;
    }
  }

  #room(): void {
    const { allowance } = this.stream;
    const { streamBytes, connectionBytes } = allowance.windows;
    require(connectionBytes >= 0, `a connection's window of ${connectionBytes} bytes`);
    for (const bytes of [streamBytes, connectionBytes])
      require(Math.abs(bytes) <= WINDOW_BYTES_MAX, `a window of ${bytes} bytes`);
    require(allowance.bytes <= connectionBytes, 'more may go than the connection allows');
    require(allowance.frameBytesMax >= 16_384, `frames of ${allowance.frameBytesMax} bytes`);
    if ((this.form & FORM.sends) !== 0 && allowance.bytes > 0)
      allowance.use(Math.min(allowance.bytes, 30_000));
  }

  /** @returns why it was refused */
  receive(chunks: readonly Buffer[]): string | undefined {
    try {
      for (const chunk of chunks) this.stream.receive(chunk);
      return undefined;
    } catch (error) {
      if (error instanceof Http2Error) {
        const said = framesOf(this.stream.abortion(error.code, error.message));
        require(said.at(-1)?.type === FRAME.goAway, 'giving up is not said');
        return error.code;
      }
      if (error instanceof StorageError) return error.kind;
      throw error;
    }
  }

  checkWindows(): void {
    const taken = this.#taken;
    const heldBytes = taken - this.#givenBack;
    require(heldBytes <= WINDOW_BYTES, `${heldBytes} bytes were taken beyond the window`);
  }
}

function execute(role: Role, input: Buffer): void {
  const { form, cutting, wire } = choices(input);
  const begin = (): HeardEnd => {
    const end = new HeardEnd(role, form);
    // Otherwise the input has the first frames too.
    if ((form & FORM.begun) !== 0) end.receive([firstBytes(role)]);
    return end;
  };
  const whole = begin();
  const cut = begin();
  const refusal = whole.receive([wire]);
  const cutRefusal = cut.receive(pieces(wire, cutting));
  for (const end of [whole, cut]) {
    end.checkWindows();
    require(end.messageBytes <= wire.length, 'more came out than went in');
    require(end.answerBytes <= wire.length + 9, `${end.answerBytes} bytes of answers`);
  }
  // When windows are given back depends on the cuts, and then what is beyond them.
  if (refusal === 'FLOW_CONTROL_ERROR' || cutRefusal === 'FLOW_CONTROL_ERROR') return;
  deepStrictEqual([cutRefusal, cut.told], [refusal, whole.told]);
}

function firstBytes(role: Role): Buffer {
  return role === 'server' ? Buffer.concat([MAGIC, settings()]) : settings();
}

function seed(form: number, cutting: number, ...frames: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([form, cutting]), ...frames]);
}

const MESSAGES = [
  data(grpcMessage('first')),
  paddedData(String(grpcMessage('second')), 9),
  data(Buffer.concat([grpcMessage(''), grpcMessage('third').subarray(0, 7)])),
  data(grpcMessage('third').subarray(7)),
  windowUpdate(0, 70_000),
  ping('12345678'),
  settings([4, 100], [5, 20_000]),
  windowUpdate(1, 90_000),
  data(grpcMessage(Buffer.alloc(600, 7))),
  ping('12345678', FLAG.ack),
  frame(0xbe, 0, 0, Buffer.from('unknown')),
];

const CALL = callHeaders('/blkferry.storage.v1.Storage/OpenSession');

const CALLS = [
  frame(FRAME.headers, FLAG.endHeaders, 1, CALL),
  Buffer.concat([
    frame(FRAME.headers, 0, 1, CALL.subarray(0, 20)),
    frame(FRAME.continuation, FLAG.endHeaders, 1, CALL.subarray(20)),
  ]),
];

function serverSeeds(): Buffer[] {
  const opening = [MAGIC, settings([4, 8_388_608], [0xfb1f, 1]), windowUpdate(0, 8_323_073)];
  const ends = [data('', FLAG.endStream), reset(8), goAway(0, 0, 'bye'), data('x', 1)];
  return [
    ...CALLS.map((call) => seed(0, 4, ...opening, call, ...MESSAGES, ends[0]!)),
    ...ends.map((end) => seed(FORM.begun, 255, CALLS[0]!, ...MESSAGES, end)),
    seed(FORM.begun | FORM.holds | FORM.sends, 40, CALLS[0]!, ...MESSAGES, ...MESSAGES),
  ];
}

function clientSeeds(): Buffer[] {
  const answer = headers({ ':status': '200', 'content-type': 'application/grpc' });
  const trailers = headers({ 'grpc-status': '5', 'grpc-message': 'no volume' }, FLAG.endStream);
  const block = Buffer.concat([headerField(':status', '200'), headerField('grpc-status', '0')]);
  const opening = [settings([3, 1], [4, 8_388_608], [6, 16_384]), settings()];
  return [
    seed(0, 4, ...opening, headers({ ':status': '103' }), answer, ...MESSAGES, trailers),
    seed(FORM.begun, 255, frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, block)),
    seed(FORM.begun | FORM.holds, 90, answer, ...MESSAGES, ...MESSAGES, trailers),
    seed(FORM.begun | FORM.sends, 7, answer, ...MESSAGES, reset(2)),
    seed(FORM.begun, 255, answer, goAway(1, 0), ...MESSAGES, goAway(0, 11, 'too_many_pings')),
  ];
}

export const HTTP2_SERVER: FuzzTarget = {
  name: 'http2-server',
  bytesMax: 8192,
  seeds: serverSeeds,
  execute: (input) => {
    execute('server', input);
  },
};

export const HTTP2_CLIENT: FuzzTarget = {
  name: 'http2-client',
  bytesMax: 8192,
  seeds: clientSeeds,
  execute: (input) => {
    execute('client', input);
  },
};
