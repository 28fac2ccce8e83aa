/**
 * The kernel's NBD driver as this room uses it: what the native add-on offers of it, so that tests can
 * bring a kernel of their own.
 */
import * as addon from 'blkferry-kernel';

export type NbdKernel = Pick<
  typeof addon,
  'socketPair' | 'nbdConnect' | 'nbdReconfigure' | 'nbdDisconnect' | 'nbdStatus'
>;

/** This machine's. Without the add-on each call says how to build it. */
export const NBD_KERNEL: NbdKernel = addon;

/** linux/nbd.h: the device goes away together with its connection. */
export const NBD_CFLAG_DESTROY_ON_DISCONNECT = 1;
