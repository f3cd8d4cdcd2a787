#!/usr/bin/env node
// Runs the program that this package holds for the machine's system, with these arguments.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const { platform, arch } = process;
const end = platform === 'win32' ? '.exe' : '';
const program = fileURLToPath(new URL(`bin/${platform}-${arch}/wsconform${end}`, import.meta.url));
if (!existsSync(program)) {
  console.error(`this package has no program for ${platform} on ${arch}: cargo install sansws-conformance`);
  process.exit(2);
}
const child = spawn(program, process.argv.slice(2), { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`${program}: ${error.message}`);
  process.exit(2);
});
child.on('exit', (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else {
    process.exit(code);
  }
});
