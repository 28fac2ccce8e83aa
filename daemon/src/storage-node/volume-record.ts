/**
 * What a node keeps about each volume, in one file per volume (volume.json). Format 1; format 2 where the
 * holder has names, which an older version must not ignore.
 */
export const VOLUME_RECORD_FORMAT = 1;
export const NAMED_HOLDER_FORMAT = 2;

export interface LeaseHolder {
  readonly attachmentId: string;
  readonly description: string;
  readonly sinceUnixMs: number;
  /**
   * The first generation of this holder's unbroken possession: from there on nobody else wrote, so
   * what it logged under any of them may be sent again.
   */
  readonly firstGeneration: number;
  /** The names in the holder's certificate: only a client with one of them is this holder. Absent without TLS. */
  readonly clientNames?: readonly string[];
}

export interface VolumeRecord {
  readonly volumeId: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly backend: string;
  readonly createdUnixMs: number;
  /** The last generation that was granted; 0 before the first. */
  readonly generation: number;
  /** Who holds the lease; undefined if nobody does. */
  readonly holder: LeaseHolder | undefined;
}
