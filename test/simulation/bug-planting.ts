/** The tools for planting bugs: at the daemon's client, at its log's store, at the backend, in a method. */
import { DONE, type BlockRequest } from '#daemon/block/block-request.js';
import type { BlockCompletion } from '#daemon/block/block-device.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import type { SessionEvents, StorageClient } from '#daemon/transport/storage-client.js';
import type { ReplayStore } from '#daemon/volume/replay-store.js';
import { clientWith } from './daemon-watch.js';
import { NO_BUG, type PlantedBug } from './planted-bug.js';

export type Submit = (
  device: BackendVolume,
  request: BlockRequest,
  complete: BlockCompletion<BlockRequest>,
) => void;

/** A bug of the backend: `submit` is replaced. */
export function onDevice(submit: Submit): PlantedBug {
  const wrapDevice = (device: BackendVolume): BackendVolume => ({
    get facts() {
      return device.facts;
    },
    submit: (request, complete) => {
      submit(device, request, complete as BlockCompletion<BlockRequest>);
    },
    resize: (sizeBytes) => device.resize(sizeBytes),
    close: () => device.close(),
  });
  return { ...NO_BUG, wrapDevice };
}

/** A bug in a method of the product, for the time of a history. */
export function replacing<Class extends object, Name extends keyof Class>(
  owner: { readonly prototype: Class },
  name: Name,
  replace: (original: Class[Name]) => Class[Name],
): PlantedBug {
  const install = (): (() => void) => {
    const original = owner.prototype[name];
    owner.prototype[name] = replace(original);
    return () => {
      owner.prototype[name] = original;
    };
  };
  return { ...NO_BUG, install };
}

export function both(one: PlantedBug, other: PlantedBug): PlantedBug {
  const install = (): (() => void) => {
    const ends = [one.install(), other.install()];
    return () => {
      for (const end of ends.reverse()) end();
    };
  };
  return {
    ...NO_BUG,
    wrapClient: (client) => other.wrapClient(one.wrapClient(client)),
    wrapDevice: (device) => other.wrapDevice(one.wrapDevice(device)),
    install,
  };
}

export function withoutGeneration(store: ReplayStore): ReplayStore {
  return {
    append: (record, payload) => store.append(record, payload),
    commit: () => {
      store.commit();
    },
    read: (position, fromBytes, lengthBytes) => store.read(position, fromBytes, lengthBytes),
    forgetBelow: (sequence) => {
      store.forgetBelow(sequence);
    },
    setGeneration: () => undefined,
    close: (options) => {
      store.close(options);
    },
  };
}

export function deafToVerifiers(client: StorageClient): StorageClient {
  const openSession: StorageClient['openSession'] = (open, events) => {
    const deaf: SessionEvents = {
      opened: (facts) => {
        events.opened(facts);
      },
      completed: (sequence, result) => {
        events.completed(sequence, result);
      },
      verifierSeen: () => undefined,
      resized: () => undefined,
      ended: (reason) => {
        events.ended(reason);
      },
    };
    return client.openSession(open, deaf);
  };
  return clientWith(client, { openSession });
}

/** Asks for a lease that was lost as for a new one, and with force. */
export function takingBack(client: StorageClient): StorageClient {
  let granted = false;
  const acquireLease: StorageClient['acquireLease'] = async (request) => {
    const again = granted ? { expectedGeneration: 0, takeOver: true } : {};
    const lease = await client.acquireLease({ ...request, ...again });
    granted = true;
    return lease;
  };
  return clientWith(client, { acquireLease });
}

/** As Linux does with a newly opened file: the error is told once. */
export function forgetfulDevice(): PlantedBug {
  const hasFailed = new WeakSet<BackendVolume>();
  return onDevice((device, request, complete) => {
    if (request.kind === 'flush' && hasFailed.has(device)) {
      complete(request, DONE);
      return;
    }
    device.submit(request, (one, result) => {
      if (result.error !== undefined) hasFailed.add(device);
      complete(one, result);
    });
  });
}

/** Now and then a write is done behind the request that follows it in the same turn. */
export function changingPlaces(): Submit {
  let count = 0;
  let held: (() => void) | undefined;
  const release = (): void => {
    const go = held;
    held = undefined;
    go?.();
  };
  return (device, request, complete) => {
    count += 1;
    if (request.kind === 'write' && count % 5 === 0 && held === undefined) {
      held = () => {
        device.submit(request, complete);
      };
      queueMicrotask(release);
      return;
    }
    device.submit(request, complete);
    release();
  };
}

export function misplacing(): Submit {
  let count = 0;
  return (device, request, complete) => {
    const { blockBytes, sizeBytes } = device.facts;
    const offsetBytes = request.offsetBytes + blockBytes;
    if (request.kind === 'write') count += 1;
    const isChosen = request.kind === 'write' && count % 10 === 0;
    if (!isChosen || offsetBytes + request.lengthBytes > sizeBytes) {
      device.submit(request, complete);
      return;
    }
    device.submit({ ...request, offsetBytes }, (_moved, result) => {
      complete(request, result);
    });
  };
}
