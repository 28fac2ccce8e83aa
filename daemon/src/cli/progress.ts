/**
 * How far an import or export is, on stderr: a bar on a terminal, now and then a line elsewhere, and
 * nothing with `--json`.
 */
import { SingleBar } from 'cli-progress';
import { formatBytes } from '../config/quantity.js';
import type { Surroundings } from './surroundings.js';
import type { TransferProgress } from './transfer/transfer-progress.js';

/** Often enough to see that it goes on, seldom enough for a log. */
const LINE_INTERVAL_MS = 5000;
/** A bar that is redrawn more often is not read more often. */
const BAR_FPS = 5;

export function createProgress(surroundings: Surroundings, quiet: boolean): TransferProgress {
  if (quiet) return new NoProgress();
  return surroundings.stderrIsTerminal
    ? new BarProgress(surroundings)
    : new LineProgress(surroundings);
}

class NoProgress implements TransferProgress {
  begin(): void {
    // Nothing is shown.
  }

  reached(): void {
    // Nothing is shown.
  }

  end(): void {
    // Nothing is shown.
  }
}

class LineProgress implements TransferProgress {
  #label = '';
  #totalBytes: number | undefined;
  #lastLineMs = 0;

  constructor(readonly surroundings: Surroundings) {}

  begin(label: string, totalBytes: number | undefined): void {
    this.#label = label;
    this.#totalBytes = totalBytes;
    this.#lastLineMs = this.surroundings.clock.nowMs();
  }

  reached(bytes: number): void {
    const nowMs = this.surroundings.clock.nowMs();
    if (nowMs - this.#lastLineMs < LINE_INTERVAL_MS) return;
    this.#lastLineMs = nowMs;
    this.surroundings.stderr.write(
      `${this.#label}: ${describePosition(bytes, this.#totalBytes)}\n`,
    );
  }

  end(): void {
    // The result is printed by the command.
  }
}

class BarProgress implements TransferProgress {
  #bar: SingleBar | undefined;
  #totalBytes: number | undefined;

  constructor(readonly surroundings: Surroundings) {}

  begin(label: string, totalBytes: number | undefined): void {
    this.end();
    this.#totalBytes = totalBytes;
    this.#bar = new SingleBar({
      stream: this.surroundings.stderr,
      format: `${label.padEnd(7)} {bar} {position}`,
      fps: BAR_FPS,
      barsize: 32,
      hideCursor: true,
      clearOnComplete: true,
      barCompleteChar: '#',
      barIncompleteChar: '.',
    });
    this.#bar.start(totalBytes ?? 0, 0, { position: describePosition(0, totalBytes) });
  }

  reached(bytes: number): void {
    this.#bar?.update(bytes, { position: describePosition(bytes, this.#totalBytes) });
  }

  end(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

function describePosition(bytes: number, totalBytes: number | undefined): string {
  if (totalBytes === undefined || totalBytes === 0) return formatBytes(bytes);
  const percent = Math.floor((100 * bytes) / totalBytes);
  return `${percent}%, ${formatBytes(bytes)} of ${formatBytes(totalBytes)}`;
}
