#!/usr/bin/env node
/** The program `blkferry`: one command line, one exit code. */
import { runCommandLine } from '../cli/command-line.js';
import { endQuietlyWithoutReader, processSurroundings } from '../cli/process-surroundings.js';

endQuietlyWithoutReader();
process.exitCode = await runCommandLine(process.argv.slice(2), processSurroundings());
