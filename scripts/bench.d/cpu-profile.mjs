/** V8's .cpuprofile → a tree of time by function within a window, and sums of it. */
const IDLE = new Set(['(idle)', '(root)']);

/** What a function belongs to, by where it is; the first that fits. */
const KINDS = [
  ['kernel and native code below no function', ({ functionName }) => functionName === '(program)'],
  ['garbage collection', ({ functionName }) => functionName === '(garbage collector)'],
  ['our code', ({ url }) => /\/(daemon|kmod)\//.test(url) && !url.includes('/node_modules/')],
  ['grpc-js', ({ url }) => url.includes('/@grpc/')],
  ['other packages', ({ url }) => url.includes('/node_modules/')],
  ["Node's HTTP/2", ({ url }) => url.includes('internal/http2')],
  ["Node's own JavaScript", ({ url }) => url.startsWith('node:')],
];

/** System calls and C++ called from JavaScript have no address. */
const NATIVE = 'native functions (system calls, HTTP/2 in C++, copies)';

/**
 * @param window {beginMicroseconds, endMicroseconds} on the profile's clock
 * @returns {name, microseconds, root}; a node of the tree is {label, kind, selfMicroseconds, microseconds, children}
 */
export function readProfile(name, document, { beginMicroseconds, endMicroseconds }) {
  const nodes = new Map(document.nodes.map((node) => [node.id, newNode(node)]));
  for (const { id, children = [] } of document.nodes)
    nodes.get(id).children = children.map((child) => nodes.get(child));
  let atMicroseconds = document.startTime;
  for (const [index, id] of document.samples.entries()) {
    const tookMicroseconds = document.timeDeltas[index + 1] ?? 0;
    atMicroseconds += document.timeDeltas[index];
    const isInside = atMicroseconds >= beginMicroseconds && atMicroseconds < endMicroseconds;
    const node = nodes.get(id);
    if (isInside && tookMicroseconds > 0 && !IDLE.has(node.functionName))
      node.selfMicroseconds += tookMicroseconds;
  }
  const root = nodes.get(document.nodes[0].id);
  addUp(root);
  return { name, microseconds: root.microseconds, root };
}

function newNode({ callFrame }) {
  const { functionName, url, lineNumber } = callFrame;
  const file = url.replace(/^.*\//, '').replace(/^node:internal\//, '');
  const place = url === '' ? '' : ` ${file}:${lineNumber + 1}`;
  return {
    functionName,
    label: `${functionName === '' ? '(anonymous)' : functionName}${place}`,
    kind: KINDS.find(([, fits]) => fits(callFrame))?.[0] ?? NATIVE,
    ...{ selfMicroseconds: 0, microseconds: 0, children: [] },
  };
}

function addUp(node) {
  node.microseconds = node.selfMicroseconds;
  for (const child of node.children) node.microseconds += addUp(child);
  return node.microseconds;
}

/** @returns parts of the profile's time, largest first: {kinds: [{kind, part}], functions: [{name, part}]} */
export function selfTimes({ root, microseconds }, functionCount) {
  const byKind = new Map();
  const byFunction = new Map();
  const visit = (node) => {
    add(byKind, node.kind, node.selfMicroseconds);
    add(byFunction, node.label, node.selfMicroseconds);
    node.children.forEach(visit);
  };
  visit(root);
  const sorted = (sums) => [...sums].sort((left, right) => right[1] - left[1]);
  return {
    kinds: sorted(byKind)
      .filter(([, sum]) => sum > 0)
      .map(([kind, sum]) => ({ kind, part: sum / microseconds })),
    functions: sorted(byFunction)
      .slice(0, functionCount)
      .map(([name, sum]) => ({ name, part: sum / microseconds })),
  };
}

function add(sums, key, value) {
  sums.set(key, (sums.get(key) ?? 0) + value);
}
