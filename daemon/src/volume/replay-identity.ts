/**
 * identity.json of a replay log's folder: whose records these are, and under which generation they were
 * written. Records sent again to a wrong volume would destroy it: what is not plainly an identity is refused.
 */
import * as z from 'zod';

const FORMAT = 3;

/** Whose log it is. */
export interface ReplayOwner {
  readonly volumeId: string;
  readonly attachmentId: string;
  /** Of this machine: runtime/boot-id.ts. */
  readonly bootId: string;
}

export interface ReplayIdentity extends ReplayOwner {
  /** Under which the records were written; 0 before the first lease. */
  readonly generation: number;
}

const FORMAT_ONLY = z.object({ format: z.int() });
const IDENTITY: z.ZodType<ReplayIdentity> = z.object({
  volumeId: z.string().min(1),
  attachmentId: z.string().min(1),
  bootId: z.string().min(1),
  generation: z.int().nonnegative(),
});

export function replayIdentityText(identity: ReplayIdentity): string {
  const { volumeId, attachmentId, bootId, generation } = identity;
  return JSON.stringify({ format: FORMAT, volumeId, attachmentId, bootId, generation });
}

/** @param file for messages @throws Error with a sentence if the text is damaged or of another version */
export function parseReplayIdentity(file: string, text: string): ReplayIdentity {
  const value = parseJson(text);
  const known = FORMAT_ONLY.safeParse(value);
  if (known.success && known.data.format !== FORMAT) {
    throw new Error(
      `${file} has format ${known.data.format}; this version reads format ${FORMAT}, use the version that wrote it`,
    );
  }
  const identity = IDENTITY.safeParse(value);
  if (known.success && identity.success) return identity.data;
  throw new Error(
    `${file} is damaged: it does not say which volume's writes lie beside it; ` +
      `restore it, or move the folder away to give those writes up`,
  );
}

/** @returns undefined for what is no JSON */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
