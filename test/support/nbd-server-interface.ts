/** An NBD server as tests use one, whichever it is. nbd-server.ts starts it. */

export interface ExportWishes {
  readonly sizeBytes: number;
  /** Default: the server's choice. */
  readonly blockBytes?: number;
  readonly isReadOnly?: boolean;
}

export interface NbdExport {
  readonly name: string;
  /** As the NBD URI specification writes it. */
  readonly uri: string;
  /** The unix socket in the URI. */
  readonly socketPath: string;
}

export interface NbdServer {
  /** An export of its own that reads as zeroes. */
  newExport(wishes: ExportWishes): Promise<NbdExport>;
  /** Bytes of storage that the export's data takes up. */
  allocatedBytes(disk: NbdExport): Promise<number>;
  /** Ends the server; everything it answered is then done. */
  stop(): Promise<unknown>;
}
