#!/usr/bin/env node
/** The developer commands, with the same first steps as the gateway itself. */
import { run } from './bootstrap.js';

const commands = {
  test: ['node_modules/vitest/vitest.mjs', 'run'],
  lint: ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings'],
  format: ['node_modules/@biomejs/biome/bin/biome', 'check', '--write'],
  types: ['node_modules/typescript/bin/tsc'],
  bench: ['bench/bench.ts'],
  'bench:revocation': ['bench/revocation.ts'],
  'bench:keys': ['bench/key-store.ts'],
};

const [name, ...args] = process.argv.slice(2);
const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
if (command === undefined) {
  process.stderr.write(`usage: node bin/run.js ${Object.keys(commands).join('|')} [arguments]\n`);
  process.exitCode = 2;
} else {
  const [script, ...given] = command;
  await run(script, [...given, ...args], { dev: true });
}
