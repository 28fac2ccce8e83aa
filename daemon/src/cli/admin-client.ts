/**
 * Typed calls to the daemon's admin API (admin.proto). The interface is what commands see; tests bring
 * their own. The admin API is a unix socket, where whoever may open it may use it, or a TCP address with TLS.
 */
import { Client, type ChannelCredentials } from '@grpc/grpc-js';
import type {
  AttachmentMessage,
  AttachReplyMessage,
  AttachRequestMessage,
  DaemonMessage,
  DetachReplyMessage,
  DetachWish,
  FailNowReplyMessage,
  ListAttachmentsReplyMessage,
  RetryNowReplyMessage,
} from '../rpc/admin-messages.js';
import { CLIENT_OPTIONS } from '../rpc/channel-options.js';
import { clientCredentials } from '../rpc/credentials.js';
import { ADMIN_SERVICE } from '../rpc/service-definition.js';
import { TlsMaterial, type TlsFiles } from '../security/tls-material.js';
import { explainCallError } from '../transport/call-error.js';

/** What to look at when nobody answers. */
const QUESTION = 'is blkferryd running? (--admin-socket)';

/** All promises reject with StorageError, at the latest when the call's deadline is over. */
export interface AdminClient {
  /** unix:/path or host:port, for messages. */
  readonly address: string;
  attach(request: AttachRequestMessage): Promise<AttachReplyMessage>;
  detach(wish: DetachWish): Promise<DetachReplyMessage>;
  /** Sorted by export name. */
  listAttachments(): Promise<AttachmentMessage[]>;
  getAttachment(exportName: string): Promise<AttachmentMessage>;
  getDaemon(): Promise<DaemonMessage>;
  failNow(exportName: string): Promise<FailNowReplyMessage>;
  /** Answered when the try has succeeded or failed. */
  retryNow(exportName: string): Promise<RetryNowReplyMessage>;
  close(): void;
}

export interface AdminClientOptions {
  /** unix:/path, or host:port with `tls` */
  readonly address: string;
  /** Most time for one call, connecting included. */
  readonly timeoutMs: number;
  /** For TLS over TCP. */
  readonly tls?: TlsFiles;
}

/** @throws TlsMaterialError when the files cannot be used, StorageError for plain text to another machine */
export function createAdminClient(options: AdminClientOptions): AdminClient {
  return new GrpcAdminClient(options);
}

class GrpcAdminClient implements AdminClient {
  readonly address: string;
  readonly #client: Client;

  constructor(readonly options: AdminClientOptions) {
    this.address = options.address;
    this.#client = new Client(options.address, credentialsFor(options), CLIENT_OPTIONS);
  }

  attach(request: AttachRequestMessage): Promise<AttachReplyMessage> {
    return this.#call('Attach', request);
  }

  detach(wish: DetachWish): Promise<DetachReplyMessage> {
    return this.#call('Detach', { attachmentIds: [], waitMs: 0, ...wish });
  }

  async listAttachments(): Promise<AttachmentMessage[]> {
    const reply = await this.#call<ListAttachmentsReplyMessage>('ListAttachments', {});
    return reply.attachments;
  }

  getAttachment(exportName: string): Promise<AttachmentMessage> {
    return this.#call('GetAttachment', { exportName });
  }

  getDaemon(): Promise<DaemonMessage> {
    return this.#call('GetDaemon', {});
  }

  failNow(exportName: string): Promise<FailNowReplyMessage> {
    return this.#call('FailNow', { exportName });
  }

  retryNow(exportName: string): Promise<RetryNowReplyMessage> {
    return this.#call('RetryNow', { exportName });
  }

  close(): void {
    this.#client.close();
  }

  #call<Reply>(name: string, request: object): Promise<Reply> {
    const method = ADMIN_SERVICE[name];
    if (method === undefined) throw new Error(`admin.proto has no ${name}`);
    const deadline = Date.now() + this.options.timeoutMs;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        { deadline },
        (error, reply) => {
          if (error === null) resolve(reply as Reply);
          else reject(explainCallError(error, 'daemon', this.address, QUESTION));
        },
      );
    });
  }
}

function credentialsFor({ address, tls }: AdminClientOptions): ChannelCredentials {
  const material = tls === undefined ? undefined : TlsMaterial.load(tls, Date.now());
  return clientCredentials(address, { tls: material, insecure: false }, 'daemon');
}
