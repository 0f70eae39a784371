/**
 * `start`, `dev`, `sink`: the commands that run until they are stopped. Their parts are only loaded
 * when they run, so that the short commands stay quick.
 */
import { type Command, InvalidArgumentError } from 'commander';
import type { Io } from './io.ts';
import { addSettings, type SettingsOptions } from './settings.ts';

const sinkPort = 4319;

export function addRunCommands(program: Command, io: Io): void {
  addSettings(program.command('start').description('run the gateway')).action(
    async (options: SettingsOptions) => {
      const { start } = await import('./start.ts');
      await start(io, options);
    },
  );

  addSettings(program.command('dev'))
    .description('run it for trying out: with a sink, a demo project and lines to paste')
    // Refused below, with words about npm.
    .allowExcessArguments()
    .action(async (options: SettingsOptions, self: Command) => {
      refuseLostOptions(io, self);
      const { dev } = await import('./dev.ts');
      await dev(io, options);
    });

  program
    .command('sink')
    .description('run a small ingestion service that shows what the gateway forwards')
    .option('--port <number>', 'where it listens on 127.0.0.1; 0 for any', parsePort, sinkPort)
    .option('--file <file>', 'keep each delivery here, as a JSON line')
    .action(async (options: { readonly port: number; readonly file?: string }) => {
      const { runSink } = await import('./sink-command.ts');
      await runSink(io, options);
    });
}

/** npm takes options for its own and leaves their values, or nothing, to the command. */
function refuseLostOptions({ env }: Io, command: Command): void {
  const { args } = command;
  const isKept =
    env.npm_lifecycle_event === 'start' &&
    [env.npm_config_set, env.npm_config_config].some((value) => value !== undefined);
  if (args.length === 0 && !isKept) return;
  const fault =
    args.length > 0
      ? `too many arguments for 'dev': ${args.join(', ')}`
      : 'npm has taken an option that was meant for the gateway';
  command.error(
    `error: ${fault}\nafter npm start, options need \`--\` first: npm start -- --set a=b`,
    { exitCode: 2 },
  );
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('write a number from 0 to 65535');
}
