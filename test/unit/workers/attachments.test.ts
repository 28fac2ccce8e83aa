/** What holds for attachments, their devices and their end holds for volumes in workers too: the same sentences. */
import { AttachmentBench } from '../admin/attachment-bench.js';

AttachmentBench.hasWorkers = true;
await import('../admin/attachments.test.js');
await import('../admin/devices.test.js');
await import('../admin/failed-steps.test.js');
await import('../admin/ordered-stop.test.js');
