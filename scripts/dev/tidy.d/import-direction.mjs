/** Imports between rooms follow the table of house-rules.mjs; packages stay in the rooms meant for them. */
import { NARROW_IMPORTS, PACKAGE_ROOMS, ROOM_IMPORTS } from './house-rules.mjs';
import { foreignPackage, importsInTree, roomOf } from './import-graph.mjs';

export function checkImportDirection(tree) {
  return tree.files.flatMap((file) => {
    const room = roomOf(file.path);
    if (room === undefined || file.module === undefined) return [];
    if (ROOM_IMPORTS[room] === undefined) {
      return [finding(file.path, 1, `the room ${room} is not in ROOM_IMPORTS; add it there`)];
    }
    return [...checkRooms(tree, file, room), ...checkPackages(file, room)];
  });
}

function checkRooms(tree, file, room) {
  return importsInTree(tree, file).flatMap(({ path, line }) => {
    const target = roomOf(path);
    if (target === room) return [];
    if (target === undefined) {
      return [finding(file.path, line, `imports ${path}, which is not part of the product`)];
    }
    if (!ROOM_IMPORTS[room].includes(target)) {
      const allowed = ROOM_IMPORTS[room].join(', ') || 'nothing of ours';
      return [
        finding(file.path, line, `${room} must not import ${target}; it may import ${allowed}`),
      ];
    }
    const narrow = NARROW_IMPORTS[room]?.[target];
    if (narrow !== undefined && !narrow.some((name) => path.endsWith(`/${target}/${name}`))) {
      const names = narrow.join(', ');
      return [
        finding(file.path, line, `${room} may import only ${names} of ${target}, not ${path}`),
      ];
    }
    return [];
  });
}

function checkPackages(file, room) {
  return file.module.imports.flatMap(({ specifier, line }) => {
    const name = foreignPackage(specifier);
    const rooms = name === undefined ? undefined : PACKAGE_ROOMS[name];
    if (rooms === undefined || rooms.includes(room)) return [];
    const text = `${room} must not import the package ${name}; it belongs to ${rooms.join(', ')}`;
    return [finding(file.path, line, text)];
  });
}

function finding(path, line, text) {
  return { path, line, text };
}
