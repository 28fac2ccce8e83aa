/** Part of a request, as a request of its own: the same change in a smaller range. */
import { slices, type BlockRequest } from '../block/block-request.js';

/**
 * @param offsetBytes of the part, absolute; with `lengthBytes` inside the request's range
 * @returns the request itself if the part is all of it; else one whose payload are views onto the request's
 */
export function partOfRequest(
  request: BlockRequest,
  offsetBytes: number,
  lengthBytes: number,
): BlockRequest {
  if (lengthBytes === request.lengthBytes) return request;
  const { kind, flags } = request;
  const fromBytes = offsetBytes - request.offsetBytes;
  const payload = slices(request.payload, fromBytes, fromBytes + lengthBytes);
  return { kind, offsetBytes, lengthBytes, flags, payload };
}
