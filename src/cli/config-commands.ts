/** `validate`, `print-config`. */
import type { Command } from 'commander';
import { ConfigError, findConfigFiles, renderConfig } from '../config/config.ts';
import { type Io, writeJson } from './io.ts';
import { addSettings, loadSettings, type SettingsOptions } from './settings.ts';

type Options = SettingsOptions & { readonly json?: boolean };

export function addConfigCommands(program: Command, io: Io): void {
  addSettings(
    program.command('validate').description('check a configuration; all problems at once'),
  )
    .option('--json', 'print the problems as JSON')
    .action((options: Options) => {
      try {
        loadSettings(io, options);
      } catch (error) {
        if (options.json && error instanceof ConfigError) {
          writeJson(io, { valid: false, problems: error.problems });
        }
        throw error;
      }
      const files = findConfigFiles(options.config ?? [], { env: io.env });
      if (options.json) writeJson(io, { valid: true, problems: [] });
      else io.stdout.write(`valid: ${files.length === 0 ? 'the defaults' : files.join(', ')}\n`);
    });

  addSettings(program.command('print-config'))
    .description('the configuration in effect, secrets masked')
    .option('--json', 'as JSON')
    .action((options: Options) => {
      io.stdout.write(renderConfig(loadSettings(io, options), options.json ? 'json' : 'yaml'));
    });
}
