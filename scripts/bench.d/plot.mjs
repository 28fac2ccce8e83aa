/** The ratios of those with two hops as bars, drawn by gnuplot. One hop is another job; the table has it. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BASELINE, CEILINGS } from './targets.mjs';

/** Distinguishable also without colours, by their lightness. */
const COLOURS = ['#1b6ca8', '#7fc4f2', '#f0a030', '#b8b8b8'];

const TERMINALS = {
  'plot.png': 'pngcairo size 1200,560 font ",11"',
  'plot.svg': 'svg size 1200,560 font ",11"',
};

/** @returns the names of the files that were drawn; none without gnuplot or without the baseline */
export function drawPlot(results, folder) {
  const targets = results.targets.filter(({ name }) => name !== BASELINE && !CEILINGS.has(name));
  if (!results.targets.some(({ name }) => name === BASELINE)) return [];
  const data = path.join(folder, 'plot.data');
  writeFileSync(data, dataOf(results, targets));
  const drawn = Object.keys(TERMINALS).filter((file) => {
    const script = scriptFor(results, targets, { file: path.join(folder, file), data });
    return spawnSync('gnuplot', [], { input: script.replace('@', TERMINALS[file]) }).status === 0;
  });
  rmSync(data);
  return drawn;
}

function dataOf(results, targets) {
  return results.loads
    .map(({ title, results: byTarget }) => {
      const ratios = targets.map(({ name }) => byTarget[name]?.ratio ?? '-');
      return [`"${labelOf(title)}"`, ...ratios].join(' ');
    })
    .join('\n');
}

/** '4k rread d1' in lines that fit below its bars. */
function labelOf(title) {
  return title.replaceAll(' ', '\\n');
}

function scriptFor(results, targets, { file, data }) {
  const baseline = results.targets.find(({ name }) => name === BASELINE).title;
  const bars = targets.map(({ title }, index) => {
    const labels = index === 0 ? ':xtic(1)' : '';
    return `"${data}" using ${index + 2}${labels} title "${title}" linecolor rgb "${COLOURS[index]}"`;
  });
  return [
    'set terminal @',
    `set output "${file}"`,
    `set title "Speed relative to ${baseline} (1.0), more is better"`,
    'set style data histograms',
    'set style histogram clustered gap 1',
    'set datafile missing "-"',
    'set style fill solid 0.9 border rgb "white"',
    'set boxwidth 0.95',
    'set yrange [0:*]',
    'set offsets 0, 0, 0.2, 0',
    'set grid ytics linecolor rgb "#dddddd"',
    'set xtics scale 0',
    'set key above',
    'set bmargin 5',
    `plot ${bars.join(', \\\n     ')}, 1 title "${baseline}" with lines linewidth 2 linecolor rgb "black"`,
    '',
  ].join('\n');
}
