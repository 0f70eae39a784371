/** `projects add`, `projects list`. */
import type { Command } from 'commander';
import { projectJson } from '../auth/auth.ts';
import { type Io, say, writeJson } from './io.ts';
import { actor, allItems } from './registry.ts';
import { addSettings, type SettingsOptions, withChange, withStore } from './settings.ts';
import { formatTable, formatTime } from './table.ts';

type Options = SettingsOptions & { readonly json?: boolean };

export function addProjectCommands(program: Command, io: Io): void {
  const projects = program.command('projects').description('projects: each has agents and keys');

  addSettings(projects.command('add <name>').description('add a project; prints its id'))
    .option('--json', 'print the project as JSON')
    .action(async (name: string, options: Options) => {
      await withChange(io, options, async (store) => {
        const project = await store.projects.add({ name, by: actor() });
        if (options.json) writeJson(io, projectJson(project));
        else io.stdout.write(`${project.id}\n`);
        say(
          io,
          `Project "${name}" is there. Next, register an agent with the UUID that it has in Mibo:`,
          `  ${io.program} agents add <uuid> --project ${project.id} --name "<name>"`,
        );
      });
    });

  addSettings(projects.command('list').description('list the projects'))
    .option('--json', 'print them as JSON')
    .action(async (options: Options) => {
      await withStore(io, options, async (store, place) => {
        const items = await allItems((page) => store.projects.list(page));
        if (options.json) return writeJson(io, { items: items.map(projectJson) });
        if (items.length === 0) {
          return say(
            io,
            `No projects in ${place}. To add one:`,
            `  ${io.program} projects add <name>`,
          );
        }
        const rows = items.map(({ id, name, createdAtMs }) => [
          id,
          name,
          formatTime(createdAtMs, ''),
        ]);
        io.stdout.write(formatTable(['ID', 'NAME', 'CREATED'], rows));
      });
    });
}
