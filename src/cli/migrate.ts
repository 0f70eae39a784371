/** `migrate`: makes the tables of the key store, for those whose gateway has no right to. */
import type { Command } from 'commander';
import { migrateStore } from '../auth/auth.ts';
import { type Io, say, writeJson } from './io.ts';
import { addSettings, type SettingsOptions, storeSettings } from './settings.ts';

type Options = SettingsOptions & { readonly json?: boolean };

export function addMigrateCommand(program: Command, io: Io): void {
  addSettings(program.command('migrate'))
    .description('make the tables of the key store that are missing; start does so too')
    .option('--json', 'print the result as JSON')
    .action(async (options: Options) => {
      const { where, steps } = await migrateStore(storeSettings(io, options));
      if (options.json) writeJson(io, { steps });
      say(
        io,
        steps.length === 0
          ? `Nothing to do: the tables are all there, in ${where}.`
          : `Made the tables in ${where} (step ${steps.join(', ')}).`,
      );
    });
}
