#!/usr/bin/env -S node --initial-old-space-size=128
/** The forwarding daemon: NBD clients on one side, storage nodes on the other. */
import { becomeIoFlusher } from '../runtime/io-flusher.js';

becomeIoFlusher();
// Not before: what is loaded is loaded once.
await import('./daemon-program.js');
