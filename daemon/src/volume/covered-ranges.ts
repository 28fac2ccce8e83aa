/**
 * A set of byte ranges: what of a device is covered so far. Neighbours and overlaps are joined, so it holds at
 * most one range more than were added, and usually far fewer.
 */

/** From the first byte to before the end. */
export interface ByteRange {
  readonly offsetBytes: number;
  readonly endBytes: number;
}

export class CoveredRanges {
  /** Rising; between any two there is a gap. */
  readonly #ranges: ByteRange[] = [];

  /** The parts of a range that are not covered, rising. */
  gapsIn({ offsetBytes, endBytes }: ByteRange): ByteRange[] {
    const gaps: ByteRange[] = [];
    let atBytes = offsetBytes;
    for (let index = this.#firstEndingBehind(offsetBytes); atBytes < endBytes; index += 1) {
      const covered = this.#ranges[index];
      const gapEndBytes = Math.min(endBytes, covered?.offsetBytes ?? endBytes);
      if (gapEndBytes > atBytes) gaps.push({ offsetBytes: atBytes, endBytes: gapEndBytes });
      atBytes = covered?.endBytes ?? endBytes;
    }
    return gaps;
  }

  add({ offsetBytes, endBytes }: ByteRange): void {
    if (endBytes <= offsetBytes) return;
    // One that ends where this begins is joined too.
    const first = this.#firstEndingBehind(offsetBytes - 1);
    let behind = first;
    while ((this.#ranges[behind]?.offsetBytes ?? Infinity) <= endBytes) behind += 1;
    const joined = {
      offsetBytes: Math.min(offsetBytes, this.#ranges[first]?.offsetBytes ?? Infinity),
      endBytes: Math.max(endBytes, this.#ranges[behind - 1]?.endBytes ?? 0),
    };
    this.#ranges.splice(first, behind - first, behind > first ? joined : { offsetBytes, endBytes });
  }

  #firstEndingBehind(positionBytes: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.endBytes ?? Infinity) > positionBytes) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
