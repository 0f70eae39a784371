/** `health`: an exit code for containers without a shell. */
import { get } from 'node:http';
import type { Command } from 'commander';
import { reachable } from './address.ts';
import type { Io } from './io.ts';
import { Refusal } from './refusal.ts';
import { addSettings, loadSettings, type SettingsOptions } from './settings.ts';

const timeoutMs = 3000;
const answerCharsMax = 4096;

export function addHealthCommand(program: Command, io: Io): void {
  addSettings(program.command('health'))
    .description('ask the gateway on this machine whether it is alive; exit code 0 or 1')
    .option('--ready', 'whether it is ready to take requests')
    .option('--json', 'print its answer')
    .action(async (options: SettingsOptions & { ready?: boolean; json?: boolean }) => {
      const { endpoint } = loadSettings(io, options).telemetry.health;
      const path = options.ready ? '/readyz' : '/livez';
      const { status, text } = await ask(`http://${reachable(endpoint)}${path}`);
      if (options.json) io.stdout.write(`${text}\n`);
      if (status !== 200) throw new Refusal(`wait, or look into its log: ${text}`);
      if (!options.json) io.stdout.write(options.ready ? 'ready\n' : 'alive\n');
    });
}

function ask(url: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const refuse = (why: string) =>
      reject(new Refusal(`start the gateway, or correct telemetry.health.endpoint: ${why}`));
    const request = get(url, { agent: false, timeout: timeoutMs }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text = (text + chunk).slice(0, answerCharsMax);
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: text.trim() }));
      response.on('error', (error) => refuse(error.message));
    });
    request.on('timeout', () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    request.on('error', (error) => refuse(`${url}: ${error.message}`));
  });
}
