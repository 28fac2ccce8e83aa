/**
 * The folder that the program lies in with what belongs to it: package.json, proto/, scripts/. The same from
 * a compiled file (daemon/dist/ROOM/) and from a bundled program (daemon/dist/program/).
 */
export const PROGRAM_ROOT = new URL('../../../', import.meta.url);
