/** Cuts bytes as a network may, in a way that the input itself decides. */

/** @param selector chooses one way: whole, byte by byte, or pieces of a length of its own */
export function pieces(bytes: Buffer, selector: number): Buffer[] {
  const lengthBytes = selector < 64 ? 1 + (selector % 7) : 1 + selector * 3;
  const cut: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += lengthBytes)
    cut.push(bytes.subarray(at, at + lengthBytes));
  return cut;
}

/** The first bytes of an input are choices, the rest is what comes from the network. */
export function choices(input: Buffer): { form: number; cutting: number; wire: Buffer } {
  return { form: input[0] ?? 0, cutting: input[1] ?? 0, wire: input.subarray(2) };
}
