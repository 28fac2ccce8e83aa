/**
 * The ways between two ends that are compared: `kind` is how frames are carried, and each is plain and under TLS.
 * Those of one protection are compared with each other.
 */
const KINDS = [
  {
    ...{ kind: 'library', titles: { plain: 'grpc-js', tls: 'grpc+TLS' } },
    description: "gRPC by grpc-js on Node's HTTP/2, with windows of 8 MiB on both sides",
  },
  {
    ...{ kind: 'ours', titles: { plain: 'ours', tls: 'ours+TLS' } },
    description: 'gRPC by our own connection for a session',
  },
  {
    ...{ kind: 'bare', titles: { plain: 'bare', tls: 'bare+TLS' } },
    description: 'the same frames on a socket, four bytes of length before each',
  },
];

/** The least that there can be. */
export const LEAST_KIND = 'bare';

export const WAYS = [false, true].flatMap((isTls) =>
  KINDS.map(({ kind, titles, description }) => ({
    ...{ kind, isTls, description },
    name: isTls ? `${kind}-tls` : kind,
    title: isTls ? titles.tls : titles.plain,
  })),
);

/** The name of the least way with the same protection. */
export function leastOf({ isTls }) {
  return WAYS.find((way) => way.kind === LEAST_KIND && way.isTls === isTls).name;
}
