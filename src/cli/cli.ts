/**
 * The commands of `mibo-gateway`.
 *
 * Promise: `runCli` never throws for what a user can cause: it resolves with 0 (done), 1 (refused)
 * or 2 (wrong usage) and says on standard error what to do next. Results alone go to standard
 * output, so that they can be piped; `--json` prints them as one JSON document. A key is printed
 * once, by the command that made it. Commands reach the store through its own functions, so they
 * keep its promises whether a gateway runs or not.
 *
 * Does not end the process, and takes the outside world (streams, environment, signals) as `Io`.
 */
import { Command, CommanderError, Help, type Option } from 'commander';
import { maskKey, RegistryError } from '../auth/auth.ts';
import { ConfigError } from '../config/config.ts';
import { GatewayError } from '../core/errors.ts';
import { createObservability, ownVersion } from '../observability/observability.ts';
import { addAgentCommands } from './agents.ts';
import { addAuditCommands } from './audit.ts';
import { addConfigCommands } from './config-commands.ts';
import { addHealthCommand } from './health.ts';
import type { Io } from './io.ts';
import { addKeyCommands } from './keys.ts';
import { addMigrateCommand } from './migrate.ts';
import { addProjectCommands } from './projects.ts';
import { Refusal } from './refusal.ts';
import { addRunCommands } from './run-commands.ts';

export type { Io } from './io.ts';
export { stopSignal } from './stop-signal.ts';

export const exitCodes = { done: 0, refused: 1, wrongUsage: 2 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export async function runCli(args: readonly string[], io: Io): Promise<ExitCode> {
  try {
    await buildProgram(io).parseAsync(args, { from: 'user' });
    return exitCodes.done;
  } catch (fault) {
    // Commander has already said what is wrong; asking for help is no mistake.
    if (fault instanceof CommanderError) {
      return fault.exitCode === 0 ? exitCodes.done : exitCodes.wrongUsage;
    }
    const words = wordsOf(fault);
    if (words === undefined) throw fault;
    io.stderr.write(`${withoutKeys(words)}\n`);
    return exitCodes.refused;
  }
}

/** The last words of a process that ends by a fault of its own. */
export function logCrash(fault: unknown): void {
  createObservability({ level: 'error' }).log.fatal({ err: fault }, 'ended by a fault');
}

function buildProgram(io: Io): Command {
  const program = new Command('mibo-gateway')
    .description('OpenTelemetry gateway for AI agents: OTLP in, one agent per delivery out.')
    .version(ownVersion(), '--version')
    .exitOverride()
    .showHelpAfterError('(add --help for what can be written here)')
    .configureHelp({ optionDescription })
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(withoutKeys(text)),
    });
  addRunCommands(program, io);
  addConfigCommands(program, io);
  addProjectCommands(program, io);
  addAgentCommands(program, io);
  addKeyCommands(program, io);
  addAuditCommands(program, io);
  addMigrateCommand(program, io);
  addHealthCommand(program, io);
  return program;
}

function optionDescription(option: Option): string {
  const words = new Help().optionDescription(option);
  return option.mandatory ? `${words} (required)` : words;
}

function wordsOf(fault: unknown): string | undefined {
  if (fault instanceof GatewayError) return fault.hint;
  if (fault instanceof ConfigError) {
    const count = fault.problems.length;
    return `correct the configuration: ${count} problem${count === 1 ? '' : 's'}\n${fault.message}`;
  }
  const known = fault instanceof Refusal || fault instanceof RegistryError;
  return known ? fault.message : undefined;
}

/** A key that was written where something else belongs is not repeated into logs of a terminal. */
function withoutKeys(text: string): string {
  return text.replace(/mibo_[\w-]{8,}/g, maskKey);
}
