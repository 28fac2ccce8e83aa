/** The connection of a session to a node: plain or TLS, by what the address and the settings say. */
import net from 'node:net';
import { readIntoSlab } from '../runtime/receive-slab.js';
import { sessionDial, type Protection } from './credentials.js';
import { DialTurns } from './dial-turns.js';
import type { SessionTarget } from './session-call.js';
import { sessionProtocols } from './session-mark.js';
import { secure, type TlsDial } from './tls-channel.js';

/**
 * @param who as in "node": what answers at the address, for messages
 * @param turns of all who connect there
 * @param lane of the session's volume (session-lane.ts)
 * @throws StorageError 'denied' for plain text to an address beyond this machine, unless it was allowed
 */
export function sessionTarget(
  options: Protection & { readonly address: string },
  who: string,
  turns = new DialTurns(),
  lane?: number,
): SessionTarget {
  const { address } = options;
  const dial = sessionDial(address, options, who);
  return {
    authority: address.startsWith('unix:') ? 'localhost' : address,
    isTls: dial !== undefined,
    lane,
    connect: () => {
      let socket: net.Socket | undefined;
      let isCancelled = false;
      const ready = turns.run(() => {
        if (isCancelled) throw new Error('nobody waits for the connection any more');
        socket = dialled(address, dial !== undefined);
        return madeReady(socket, dial, sessionProtocols(lane));
      });
      const cancel = (): void => {
        isCancelled = true;
        socket?.destroy();
      };
      return { ready, cancel };
    },
  };
}

function dialled(address: string, isTls: boolean): net.Socket {
  // TLS reads its socket by means of its own.
  const reading = isTls ? {} : { onread: readIntoSlab(() => socket) };
  const socket: net.Socket = net.connect({ ...placeOf(address), ...reading });
  // A request is not to wait for the answer of the one before.
  socket.setNoDelay(true);
  return socket;
}

function placeOf(address: string): net.NetConnectOpts {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) };
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  return { host, port: Number(address.slice(colon + 1)) };
}

async function madeReady(
  socket: net.Socket,
  dial: TlsDial | undefined,
  protocols: string[],
): Promise<net.Socket> {
  await connected(socket);
  return dial === undefined ? socket : secure(socket, dial, protocols);
}

function connected(socket: net.Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => {
      reject(new Error('Socket closed'));
    };
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      socket.removeListener('close', onClose);
      resolve();
    });
    socket.once('error', reject);
    socket.once('close', onClose);
  });
}
