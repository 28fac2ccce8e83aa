/** What holds when node and daemon are killed holds with volumes in workers too: the same sentences. */
process.env['BLKFERRY_WORKERS'] = '2';
await import('./crash.test.js');
export {};
