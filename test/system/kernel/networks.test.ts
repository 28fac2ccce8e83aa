/** The fault suite of networks where the kernel can make cables bad (sch_netem). */
import '#test/faults/networks.test.js';
