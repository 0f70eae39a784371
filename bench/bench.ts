/**
 * `npm run bench`: what the gateway costs per span, each row of `rows.ts` in interleaved rounds.
 *
 *   --quick        one short round, to see whether it works
 *   --rounds N     how often each row is measured (5)
 *   --only WORDS   the row of this name, else rows with all these words; repeatable. `walker` and
 *                  `auth` too
 *   --out FILE     also writes the report there, e.g. docs/performance.md
 *   --profile DIR  each gateway writes a CPU profile there when it stops
 *   --node FLAG    an option of Node for the gateway, to try it; repeatable
 *
 * Exit code: 0 measured, 1 a row failed, 2 wrong usage.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { AuthCalls, AuthResult } from './auth.ts';
import { pinningText, startChild } from './child.ts';
import { createSite } from './gateway-under-test.ts';
import type { LoadCalls } from './load.ts';
import { type Bench, measureRow, type Sample } from './measure-row.ts';
import { authText, failureText, quietText, renderReport, walkerText } from './report.ts';
import { type Row, rows } from './rows.ts';
import type { SinkCalls } from './sink.ts';
import { type Measured, summarize } from './statistics.ts';
import { resultTable } from './table.ts';
import type { WalkerCalls, WalkerResult } from './walker.ts';

type Options = {
  readonly rounds: number;
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly only: readonly string[];
  readonly out: string | undefined;
  readonly nodeOptions: readonly string[];
};

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
      profile: { type: 'string' },
      node: { type: 'string', multiple: true, default: [] },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5));
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError('--rounds takes 1, 2, 3, …');
  return {
    rounds,
    warmupMs: values.quick ? 800 : 2000,
    measureMs: values.quick ? 1000 : 3000,
    only: values.only,
    out: values.out,
    nodeOptions: [...values.node, ...profileOptions(values.profile)],
  };
}

function profileOptions(folder: string | undefined): string[] {
  return folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(folder)}`];
}

function isChosen(name: string, only: readonly string[]): boolean {
  if (only.length === 0) return true;
  const words = name.split(' ');
  return only.some((wanted) => {
    if (rows.some((row) => row.name === wanted)) return name === wanted;
    return wanted.split(' ').every((word) => words.includes(word));
  });
}

async function measureAll(options: Options, chosen: readonly Row[]): Promise<Measured[]> {
  if (chosen.length === 0) return [];
  const sink = startChild<SinkCalls>('sink.ts', 'load');
  const load = startChild<LoadCalls>('load.ts', 'load');
  const site = createSite(await sink.call('open'));
  const { warmupMs, measureMs, nodeOptions } = options;
  const bench: Bench = { site, load, sink, warmupMs, measureMs, nodeOptions };
  const results = chosen.map((row) => ({ row, samples: [] as Sample[] }));
  try {
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const { row, samples } of results) {
        const sample = await measureRow(bench, row);
        samples.push(sample);
        console.error(progressText(`round ${round}/${options.rounds}`, row, sample));
      }
    }
  } finally {
    load.stop();
    sink.stop();
    site.remove();
  }
  return results;
}

function progressText(round: string, row: Row, sample: Sample): string {
  const cost = `${sample.cpuMicrosPerRequest.toFixed(0)} µs CPU per request`;
  const verdict = sample.faults.length === 0 ? cost : `FAILED: ${sample.faults.join('; ')}`;
  return `${round}  ${row.name}: ${verdict}`;
}

function quoted(argument: string): string {
  return argument.includes(' ') ? `'${argument}'` : argument;
}

async function measureWalker(rounds: number): Promise<WalkerResult> {
  const child = startChild<WalkerCalls>('walker.ts', 'server');
  try {
    return await child.call('measure', { rounds });
  } finally {
    child.stop();
  }
}

async function measureAuth(rounds: number): Promise<AuthResult> {
  const child = startChild<AuthCalls>('auth.ts', 'server');
  try {
    return await child.call('measure', { rounds });
  } finally {
    child.stop();
  }
}

async function main(): Promise<number> {
  if (process.platform !== 'linux') {
    console.error('run it on Linux: CPU is read from /proc, which other systems do not have');
    return 2;
  }
  const options = readOptions();
  const chosen = rows.filter(({ name }) => isChosen(name, options.only));
  const walks = isChosen('walker', options.only);
  const checksKeys = isChosen('auth', options.only);
  if (chosen.length === 0 && !walks && !checksKeys) {
    console.error(
      `choose from:\n  walker\n  auth\n${rows.map(({ name }) => `  ${name}`).join('\n')}`,
    );
    return 2;
  }
  console.error(`Pinning: ${pinningText}.`);
  const date = new Date().toISOString().slice(0, 10);
  const walker = walks ? await measureWalker(options.rounds * 4) : undefined;
  const auth = checksKeys ? await measureAuth(options.rounds * 4) : undefined;
  const results = await measureAll(options, chosen);
  if (results.length > 0) {
    console.log(`${resultTable(results)}\n\n${quietText(results)}\n\n${failureText(results)}`);
  }
  console.log(walkerText(walker) + authText(auth));
  if (options.out !== undefined) {
    const { rounds, warmupMs, measureMs } = options;
    const command = ['npm run bench --', ...process.argv.slice(2).map(quoted)].join(' ');
    const report = { date, command, rounds, warmupMs, measureMs, results, walker, auth };
    writeFileSync(options.out, renderReport(report));
  }
  return results.some((measured) => summarize(measured).faults.length > 0) ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (thrown) {
  if (!(thrown instanceof TypeError)) throw thrown;
  console.error(`usage: npm run bench -- [options]; see bench/bench.ts. ${thrown.message}`);
  process.exitCode = 2;
}
