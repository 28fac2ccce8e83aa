#!/usr/bin/env node
/** The program `blkferry`: one command line, one exit code. */
import { runCommandLine } from '../cli/command-line.js';
import { endQuietlyWithoutReader, processSurroundings } from '../cli/process-surroundings.js';
import { keepMemoryPrivate } from '../runtime/core-dumps.js';

// Import, export and selftest carry guests' data, and every command has the key of its certificate. Where that cannot
// be had, people at a terminal need not be told each time.
keepMemoryPrivate({ warn: () => undefined });

endQuietlyWithoutReader();
process.exitCode = await runCommandLine(process.argv.slice(2), processSurroundings());
