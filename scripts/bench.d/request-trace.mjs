/**
 * System calls in order of time → whole requests at depth 1 and the time between their landmarks. The landmarks
 * follow each other on one path, so that the hops of a request add up to what its client waited.
 */

/** Numbers of x86-64. Others are left out of a trace. */
const CALL = {
  ...{ read: 0, write: 1, poll: 7, pread: 17, pwrite: 18, writev: 20, sendto: 44, sendmsg: 46 },
  ...{ epollWait: 232, epollPwait: 281, preadv: 295, pwritev: 296, preadv2: 327, pwritev2: 328 },
};

const RECEIVES = [CALL.read];
const SENDS = [CALL.write, CALL.writev, CALL.sendmsg];
const WAITS = [CALL.epollWait, CALL.epollPwait];
const FILE = [CALL.pread, CALL.pwrite, CALL.preadv, CALL.pwritev, CALL.preadv2, CALL.pwritev2];

/** A request that took longer was interrupted by something else on the machine. */
const REQUEST_MICROSECONDS_MAX = 20_000;

/** Each hop ends with this call; `text` names what is between it and the one before. */
const START = { role: 'client', side: 'enter', calls: [CALL.sendto, CALL.sendmsg, CALL.write] };
export const HOPS = [
  hop('client sends; daemon is woken', 'daemon', 'exit', WAITS),
  hop('daemon: request is read from the socket', 'daemon', 'exit', RECEIVES),
  hop('daemon: NBD request becomes a frame (JavaScript, HTTP/2)', 'daemon', 'enter', SENDS),
  hop('daemon sends over TCP; node is woken', 'node', 'exit', WAITS),
  hop('node: frame is read from the socket', 'node', 'exit', RECEIVES),
  hop('node: frame becomes a request (HTTP/2, gRPC, JavaScript)', 'node', 'enter', FILE),
  hop('node: the file', 'node', 'exit', FILE),
  hop('node: answer becomes a frame (JavaScript, gRPC, HTTP/2)', 'node', 'enter', SENDS),
  hop('node sends over TCP; daemon is woken', 'daemon', 'exit', WAITS),
  hop('daemon: frame is read from the socket', 'daemon', 'exit', RECEIVES),
  hop('daemon: frame becomes an NBD reply (HTTP/2, gRPC, JS)', 'daemon', 'enter', SENDS),
  hop('daemon sends; client is woken', 'client', 'exit', [CALL.poll, ...WAITS]),
];

function hop(text, role, side, calls) {
  return { text, role, side, calls };
}

export class RequestTrace {
  /** Whole ones: {microseconds: per hop, calls: system calls per role}. */
  requests = [];
  #current;

  /** @param event {role, atMicroseconds, side, call, result}; events come in order of time */
  add(event) {
    if (this.#current === undefined) {
      if (matches(START, event)) this.#current = newRequest(event);
      return;
    }
    const request = this.#current;
    if (event.side === 'enter') request.calls[event.role] += 1;
    const next = HOPS[request.microseconds.length];
    if (!matches(next, event)) return;
    request.microseconds.push(event.atMicroseconds - request.atMicroseconds);
    request.atMicroseconds = event.atMicroseconds;
    if (request.microseconds.length < HOPS.length) return;
    if (event.atMicroseconds - request.beganMicroseconds < REQUEST_MICROSECONDS_MAX)
      this.requests.push({ microseconds: request.microseconds, calls: request.calls });
    this.#current = undefined;
  }
}

function newRequest({ atMicroseconds }) {
  return {
    ...{ atMicroseconds, beganMicroseconds: atMicroseconds, microseconds: [] },
    calls: { client: 1, daemon: 0, node: 0 },
  };
}

/** A wait that ends with nothing, or a read of nothing, is no landmark. */
function matches({ role, side, calls }, event) {
  if (event.role !== role || event.side !== side || !calls.includes(event.call)) return false;
  return side === 'enter' || event.result > 0;
}
