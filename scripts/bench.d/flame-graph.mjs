/** Trees of time by function → one SVG with a flame graph of each, roots below. A frame's title tells it in full. */
import { escapeXml, svgDocument } from './svg.mjs';

const WIDTH = 1400;
const MARGIN = 10;
const ROW_HEIGHT = 17;
const HEAD_HEIGHT = 26;
/** A narrower frame could not be seen. */
const FRAME_WIDTH_MIN = 0.7;
const CHARACTER_WIDTH = 6.3;

const COLOURS = {
  'our code': '#e8743b',
  'grpc-js': '#5899da',
  'other packages': '#a2c8ec',
  "Node's HTTP/2": '#6f9d5d',
  "Node's own JavaScript": '#a9cf9a',
  'garbage collection': '#945ecf',
};
const COLOUR_NATIVE = '#c9c4bb';

/** @param profiles from cpu-profile.mjs @returns an SVG document */
export function drawFlames(title, profiles) {
  const parts = [text(MARGIN, 20, title, 15), ...legend(38)];
  let top = 56;
  for (const profile of profiles) {
    const frames = layOut(profile);
    const rows = Math.max(...frames.map(({ depth }) => depth)) + 1;
    const seconds = (profile.microseconds / 1e6).toFixed(2);
    parts.push(text(MARGIN, top + 16, `${profile.name}, ${seconds} s on its main thread`, 13));
    const bottom = top + HEAD_HEIGHT + rows * ROW_HEIGHT;
    for (const frame of frames) parts.push(drawFrame(frame, bottom, profile.microseconds));
    top = bottom + 16;
  }
  return svgDocument(WIDTH, top, parts);
}

function layOut({ root, microseconds }) {
  const scale = (WIDTH - 2 * MARGIN) / microseconds;
  const frames = [];
  const place = (node, x, depth) => {
    const width = node.microseconds * scale;
    if (width < FRAME_WIDTH_MIN) return;
    frames.push({ node, x, depth, width });
    let childX = x;
    for (const child of merged(node.children)) {
      place(child, childX, depth + 1);
      childX += child.microseconds * scale;
    }
  };
  place(root, MARGIN, 0);
  return frames;
}

/** Calls of one function from several lines are one frame; in order of name, so that graphs can be compared. */
function merged(nodes) {
  const byLabel = new Map();
  for (const node of nodes) {
    const known = byLabel.get(node.label);
    byLabel.set(
      node.label,
      known === undefined
        ? node
        : {
            ...known,
            selfMicroseconds: known.selfMicroseconds + node.selfMicroseconds,
            microseconds: known.microseconds + node.microseconds,
            children: [...known.children, ...node.children],
          },
    );
  }
  return [...byLabel.values()].sort((left, right) => left.label.localeCompare(right.label));
}

function drawFrame({ node, x, depth, width }, bottom, allMicroseconds) {
  const y = bottom - (depth + 1) * ROW_HEIGHT;
  const share = ((100 * node.microseconds) / allMicroseconds).toFixed(1);
  const colour = COLOURS[node.kind] ?? COLOUR_NATIVE;
  const characters = Math.floor((width - 6) / CHARACTER_WIDTH);
  const label = characters < 3 ? '' : text(x + 3, y + 12, node.label.slice(0, characters), 11);
  return (
    `<g><title>${escapeXml(`${node.label}: ${share} %`)}</title>` +
    `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW_HEIGHT - 1}" ` +
    `fill="${colour}" stroke="white" stroke-width="0.5"/>${label}</g>`
  );
}

function legend(y) {
  let x = MARGIN;
  return [...Object.entries(COLOURS), ['native code', COLOUR_NATIVE]].flatMap(([kind, colour]) => {
    const at = x;
    x += 24 + kind.length * CHARACTER_WIDTH + 14;
    return [
      `<rect x="${at}" y="${y - 10}" width="12" height="12" fill="${colour}"/>`,
      text(at + 17, y, kind, 11),
    ];
  });
}

function text(x, y, content, size) {
  return `<text x="${x.toFixed(1)}" y="${y}" font-size="${size}">${escapeXml(content)}</text>`;
}
