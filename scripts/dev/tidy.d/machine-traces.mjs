/** A checkout works on every machine: no path, host or registry of one of them is written into a file. */

const FOLDERS = ['root', 'work', 'workspace', 'Users/[a-z]+', 'home/[a-z]+'].join('|');

const TRACES = [
  {
    pattern: new RegExp(`(?<![\\w.:*)\\]}/-])/(${FOLDERS})/[\\w.]`),
    text: 'a path of one machine; make it relative, or a setting',
  },
  {
    pattern: /https?:\/\/(10\.\d+|192\.168|172\.(1[6-9]|2\d|3[01]))\.\d+\.\d+/,
    text: 'a server of a private network; in examples use 192.0.2.x',
  },
  {
    pattern: /\/\/[\w.-]+\.(internal|corp|lan|intranet|local)\b/,
    text: 'a host of a private network; in examples use example.org',
  },
  {
    pattern: /"resolved": "https?:/,
    text: 'a registry address in the lock file; .npmrc omits them (omit-lockfile-registry-resolved)',
  },
  {
    pattern: /\/\/(?!registry\.npmjs\.org)(registry|npm|artifactory|nexus)\.[\w.-]+/,
    text: 'a package registry; leave the choice of it to the machine',
  },
];

export function checkMachineTraces(tree) {
  return tree.files.flatMap((file) =>
    file.lines.flatMap((line, index) => {
      const trace = TRACES.find(({ pattern }) => pattern.test(line));
      return trace === undefined ? [] : [{ path: file.path, line: index + 1, text: trace.text }];
    }),
  );
}
