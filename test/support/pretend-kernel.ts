/**
 * The kernel's NBD driver for unit tests: netlink calls become files below a folder that stands for /, and
 * the kernel's end of each socket is a real one, through which a test asks as the kernel would. What the
 * real one does is test/system's subject.
 */
import fs from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { socketPair, type NbdConnectRequest, type NbdReconfigureRequest } from 'blkferry-kernel';
import type { NbdKernel } from '#daemon/frontend/nbd-kernel.js';

/** Requests as raw bytes: this side of the wire is written by hand, not by our encoder. */
const REQUEST_MAGIC = 0x25609513;
const REPLY_BYTES = 16;

export interface PretendDevice {
  connect: NbdConnectRequest;
  sockets: KernelEnd[];
  reconfigurations: NbdReconfigureRequest[];
}

export class PretendKernel implements NbdKernel {
  readonly devices = new Map<number, PretendDevice>();
  /** What every call fails with, once set. */
  failure: Error | undefined;
  disconnects: number[] = [];
  /** Replaces sockets only if told that the old ones are dead, as the real one does. */
  takesSockets = true;
  readonly #ends = new Map<number, number>();
  #nextIndex = 0;

  /** @param root stands for / */
  constructor(readonly root: string) {
    fs.mkdirSync(path.join(root, 'dev'), { recursive: true });
    fs.mkdirSync(path.join(root, 'sys/block'), { recursive: true });
  }

  /** The caller closes what it is given; so that is a stand-in, and the socket is this object's. */
  readonly socketPair = (): [number, number] => {
    const [kernelEnd, daemonEnd] = socketPair();
    const standIn = fs.openSync('/dev/null', 'r');
    this.#ends.set(standIn, kernelEnd);
    return [standIn, daemonEnd];
  };

  readonly nbdConnect = async (connect: NbdConnectRequest): Promise<number> => {
    await this.#call(connect.socketFds);
    const index = connect.index ?? this.#nextIndex;
    this.#nextIndex = index + 1;
    const sockets = this.#take(connect.socketFds);
    this.devices.set(index, { connect, sockets, reconfigurations: [] });
    const folder = this.#folder(index);
    fs.mkdirSync(path.join(folder, 'queue'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'dev'), `43:${index * 32}\n`);
    fs.writeFileSync(path.join(folder, 'queue/io_timeout'), '30000\n');
    fs.writeFileSync(path.join(folder, 'backend'), `${connect.backendIdentifier}\n`);
    this.#setSize(index, connect.sizeBytes);
    fs.writeFileSync(path.join(this.root, 'dev', `nbd${index}`), '');
    return index;
  };

  readonly nbdReconfigure = async (request: NbdReconfigureRequest): Promise<void> => {
    await this.#call(request.socketFds ?? []);
    const device = this.devices.get(request.index);
    if (device?.connect.backendIdentifier !== request.backendIdentifier) {
      throw Object.assign(new Error('EINVAL: invalid argument, NBD_CMD_RECONFIGURE'), {
        code: 'EINVAL',
      });
    }
    device.reconfigurations.push(request);
    if (request.sizeBytes !== undefined) this.#setSize(request.index, request.sizeBytes);
    const offered = this.#take(request.socketFds ?? []);
    if (this.takesSockets) device.sockets.push(...offered);
    else for (const end of offered) end.close();
  };

  readonly nbdDisconnect = async (index: number): Promise<void> => {
    await this.#call([]);
    this.disconnects.push(index);
    for (const end of this.devices.get(index)?.sockets ?? []) end.close();
    this.devices.delete(index);
    fs.rmSync(this.#folder(index), { recursive: true });
    fs.rmSync(path.join(this.root, 'dev', `nbd${index}`));
  };

  readonly nbdStatus = async (): Promise<{ index: number; connected: boolean }[]> => {
    await this.#call([]);
    return [...this.devices.keys()].map((index) => ({ index, connected: true }));
  };

  /** The one device there is. */
  get only(): PretendDevice {
    const [device, ...others] = [...this.devices.values()];
    if (device === undefined || others.length > 0)
      throw new Error('there is not exactly one device');
    return device;
  }

  /** Closes every socket, as a test must before it ends. */
  close(): void {
    for (const { sockets } of this.devices.values()) for (const end of sockets) end.close();
    for (const fd of this.#ends.values()) fs.closeSync(fd);
    this.#ends.clear();
  }

  requestTimer(index: number): string {
    return fs.readFileSync(path.join(this.#folder(index), 'queue/io_timeout'), 'latin1').trim();
  }

  #folder(index: number): string {
    return path.join(this.root, 'sys/block', `nbd${index}`);
  }

  #setSize(index: number, sizeBytes: number): void {
    fs.writeFileSync(path.join(this.#folder(index), 'size'), `${sizeBytes / 512}\n`);
  }

  #take(standIns: readonly number[]): KernelEnd[] {
    return standIns.map((standIn) => {
      const fd = this.#ends.get(standIn);
      if (fd === undefined) throw new Error(`fd ${standIn} is no end of ours`);
      this.#ends.delete(standIn);
      return new KernelEnd(fd);
    });
  }

  /** Netlink answers later, and may fail; what it was offered is then the caller's to close. */
  async #call(standIns: readonly number[]): Promise<void> {
    await new Promise(setImmediate);
    if (this.failure === undefined) return;
    for (const standIn of standIns) {
      const fd = this.#ends.get(standIn);
      if (fd !== undefined) fs.closeSync(fd);
      this.#ends.delete(standIn);
    }
    throw this.failure;
  }
}

/** The kernel's end of one socket. */
export class KernelEnd {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #cookie = 0;
  isClosed = false;

  constructor(fd: number) {
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.isClosed = true;
      this.#wake?.();
    });
  }

  /** Sends one request. @returns its cookie */
  send(
    command: number,
    offsetBytes: number,
    lengthBytes: number,
    payload = Buffer.alloc(0),
  ): number {
    this.#cookie += 1;
    const header = Buffer.alloc(28);
    header.writeUInt32BE(REQUEST_MAGIC, 0);
    header.writeUInt16BE(command, 6);
    header.writeBigUInt64BE(BigInt(this.#cookie), 8);
    header.writeBigUInt64BE(BigInt(offsetBytes), 16);
    header.writeUInt32BE(lengthBytes, 24);
    this.#socket.write(Buffer.concat([header, payload]));
    return this.#cookie;
  }

  /** What is no request. */
  sendRaw(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** The next simple reply. @returns its error number; rejects if the daemon closed instead */
  async reply(): Promise<number> {
    await this.#until(REPLY_BYTES);
    const error = this.#received.readUInt32BE(4);
    this.#received = this.#received.subarray(REPLY_BYTES);
    return error;
  }

  async data(lengthBytes: number): Promise<Buffer> {
    await this.#until(lengthBytes);
    const data = this.#received.subarray(0, lengthBytes);
    this.#received = this.#received.subarray(lengthBytes);
    return data;
  }

  async untilClosed(): Promise<void> {
    while (!this.isClosed) await this.#change();
  }

  close(): void {
    this.#socket.destroy();
  }

  async #until(lengthBytes: number): Promise<void> {
    while (this.#received.length < lengthBytes) {
      if (this.isClosed) throw new Error('the daemon closed the socket');
      await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
