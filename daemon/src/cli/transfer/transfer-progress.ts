/** What import and export tell about how far they are; progress.ts shows it. */
export interface TransferProgress {
  /** A new phase begins. @param totalBytes undefined when the end is not known */
  begin(label: string, totalBytes: number | undefined): void;
  /** The position reached in the phase, in bytes of content, holes included. */
  reached(bytes: number): void;
  /** The phase is over, well or not. Idempotent. */
  end(): void;
}
