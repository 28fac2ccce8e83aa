/** The certificate and key in force, as a worker is told of them: the files are read and watched by the main thread. */
import type { SecureContextOptions } from 'node:tls';
import type { ServerMaterial } from '../../rpc/tls-acceptor.js';

type Listener = Parameters<ServerMaterial['onReplaced']>[0];

export class ToldMaterial implements ServerMaterial {
  #contextOptions: SecureContextOptions;
  readonly #listeners = new Set<Listener>();

  constructor(contextOptions: SecureContextOptions) {
    this.#contextOptions = contextOptions;
  }

  get current(): { readonly contextOptions: SecureContextOptions } {
    return { contextOptions: this.#contextOptions };
  }

  replace(contextOptions: SecureContextOptions): void {
    this.#contextOptions = contextOptions;
    for (const listener of this.#listeners) listener({ contextOptions });
  }

  onReplaced(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
