/**
 * The exports as one client may see them. What it may not open is, for the client, not there: the same answers,
 * and no line in the list; the log has the reason.
 */
import type { ExportDirectory, ExportFacts, ListedExport } from 'nbd-server-helpers';
import type { PacedBlockDevice } from '../block/block-device.js';
import type { Export, ExportTable } from './export-table.js';
import { toExportFacts } from './nbd-export.js';
import { ReadOnlyDevice } from './read-only-device.js';

export interface ExportDecision {
  /** Undefined: none. */
  readonly right: 'read' | 'write' | undefined;
  /** One clause: the rule that gave it, or why none does. */
  readonly reason: string;
}

/** Who may open what, for the clients of one listener. */
export interface ExportAccess {
  decide(clientNames: readonly string[], exportName: string): ExportDecision;
}

export class ClientExports implements ExportDirectory {
  #names: readonly string[] = [];

  /**
   * @param access undefined: everybody may write everything, as on the unix socket
   * @param onRefused an export that is there was asked for by a client without a right to it
   */
  constructor(
    readonly exports: ExportTable,
    readonly access: ExportAccess | undefined,
    readonly onRefused: (exportName: string, reason: string) => void,
  ) {}

  /** By which names the client is known from now on. */
  identify(names: readonly string[]): void {
    this.#names = names;
  }

  list(): readonly ListedExport[] {
    return this.exports
      .list()
      .filter(({ name }) => this.#decide(name).right !== undefined)
      .map(({ name, description }) => ({ name, description }));
  }

  find(name: string): ExportFacts | undefined {
    const entry = this.exports.find(name);
    if (entry === undefined) return undefined;
    const device = this.deviceOf(entry);
    if (device === undefined || !entry.isReady()) return undefined;
    return toExportFacts({ name, description: entry.description, device });
  }

  /** @returns undefined if the client may not open it */
  deviceOf(entry: Export): PacedBlockDevice | undefined {
    const { right, reason } = this.#decide(entry.name);
    switch (right) {
      case 'write':
        return entry.device;
      case 'read':
        return new ReadOnlyDevice(entry.device);
      case undefined:
        this.onRefused(entry.name, reason);
        return undefined;
    }
  }

  /** What the client may do with it now. */
  rightTo(exportName: string): ExportDecision['right'] {
    return this.#decide(exportName).right;
  }

  #decide(exportName: string): ExportDecision {
    return (
      this.access?.decide(this.#names, exportName) ?? {
        right: 'write',
        reason: 'nobody is asked for a name',
      }
    );
  }
}
