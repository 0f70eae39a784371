/** `agents add`, `agents list`, `agents remove`. */
import type { Command } from 'commander';
import { agentJson } from '../auth/auth.ts';
import { type Io, say, writeJson } from './io.ts';
import { actor, allItems } from './registry.ts';
import { addSettings, type SettingsOptions, withChange, withStore } from './settings.ts';
import { formatTable, formatTime } from './table.ts';

type Options = SettingsOptions & { readonly project: string; readonly json?: boolean };

export function addAgentCommands(program: Command, io: Io): void {
  const agents = program.command('agents').description('agents: whose traces a project takes');
  addAdd(agents, io);
  addList(agents, io);
  addRemove(agents, io);
}

function addAdd(agents: Command, io: Io): void {
  addSettings(agents.command('add <uuid>').description('register an agent; prints its id'))
    .requiredOption('--project <id or name>', 'the project that it belongs to')
    .requiredOption('--name <name>', 'what people call it')
    .option('--json', 'print the agent as JSON')
    .action(async (id: string, options: Options & { readonly name: string }) => {
      await withChange(io, options, async (store) => {
        const project = await store.projects.find(options.project);
        const { name } = options;
        const agent = await store.agents.add({ projectId: project.id, id, name, by: actor() });
        if (options.json) writeJson(io, agentJson(agent));
        else io.stdout.write(`${agent.id}\n`);
        say(
          io,
          `Agent "${name}" is registered in "${project.name}". Next, make a key that reaches it:`,
          `  ${io.program} keys create --project ${project.id} --agent ${agent.id} --name "<name>"`,
        );
      });
    });
}

function addList(agents: Command, io: Io): void {
  addSettings(agents.command('list').description('list the agents of a project'))
    .requiredOption('--project <id or name>', 'the project')
    .option('--json', 'print them as JSON')
    .action(async (options: Options) => {
      await withStore(io, options, async (store) => {
        const { id: projectId, name: projectName } = await store.projects.find(options.project);
        const items = await allItems((page) => store.agents.list({ ...page, projectId }));
        if (options.json) return writeJson(io, { items: items.map(agentJson) });
        if (items.length === 0) return say(io, `No agents in "${projectName}".`);
        const rows = items.map(({ id, name, createdAtMs }) => [
          id,
          name,
          formatTime(createdAtMs, ''),
        ]);
        io.stdout.write(formatTable(['ID', 'NAME', 'CREATED'], rows));
      });
    });
}

function addRemove(agents: Command, io: Io): void {
  addSettings(agents.command('remove <uuid>').description('take an agent out of its project'))
    .requiredOption('--project <id or name>', 'the project that it belongs to')
    .option('--json', 'print the result as JSON')
    .action(async (id: string, options: Options) => {
      await withChange(io, options, async (store) => {
        const project = await store.projects.find(options.project);
        await store.agents.remove({ projectId: project.id, id, by: actor() });
        if (options.json) writeJson(io, { removed: true });
        say(io, 'Removed. Keys that were scoped to this agent alone now reach none.');
      });
    });
}
