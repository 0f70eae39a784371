/** `keys list`, `keys show`: what is known of keys; never the keys. */
import type { Command } from 'commander';
import { type KeyRecord, keyJson, type Store } from '../auth/auth.ts';
import { type Io, say, writeJson } from './io.ts';
import { allItems } from './registry.ts';
import { addSettings, type SettingsOptions, withStore } from './settings.ts';
import { formatFields, formatTable, formatTime } from './table.ts';

type Options = SettingsOptions & { readonly json?: boolean };

export function addKeyViews(keys: Command, io: Io): void {
  addSettings(keys.command('list').description('list the keys, masked'))
    .option('--project <id or name>', 'only those of this project')
    .option('--json', 'print them as JSON')
    .action(async (options: Options & { readonly project?: string }) => {
      await withStore(io, options, async (store, place) => {
        const query = await projectQuery(store, options.project);
        const records = await allItems((page) => store.keys.list({ ...page, ...query }));
        if (options.json) return writeJson(io, { items: records.map(keyJson) });
        if (records.length > 0) {
          const columns = await keyColumns(store, records);
          // Of one project, which the user has just named, the column would say nothing.
          const shown = columns.filter(([head]) => !(options.project && head === 'PROJECT'));
          return void io.stdout.write(keyTable(shown, records));
        }
        say(io, `No keys in ${place}. To make one:`);
        say(io, `  ${io.program} keys create --project <id or name> --name <name>`);
      });
    });

  addSettings(keys.command('show <id>').description('all that is known of a key'))
    .option('--json', 'print it as JSON')
    .action(async (id: string, options: Options) => {
      await withStore(io, options, async (store) => {
        const record = await store.keys.get(id);
        if (options.json) return writeJson(io, keyJson(record));
        io.stdout.write(await keyFields(store, record));
      });
    });
}

async function projectQuery(store: Store, project: string | undefined) {
  return project === undefined ? {} : { projectId: (await store.projects.find(project)).id };
}

type Column = readonly [head: string, cell: (record: KeyRecord) => string];

async function keyColumns(store: Store, records: readonly KeyRecord[]): Promise<Column[]> {
  const [agents, projects] = [await agentNames(store, records), await projectNames(store)];
  return [
    ['ID', ({ id }) => id],
    ['PROJECT', ({ projectId }) => projects.get(projectId) ?? projectId],
    ['NAME', ({ name }) => name],
    ['KEY', ({ maskedKey }) => maskedKey],
    ['SCOPE', (record) => scopeWords(record, agents)],
    ['STATUS', ({ status }) => status],
    ['CREATED', ({ createdAtMs }) => formatTime(createdAtMs, '')],
    ['LAST USED', ({ lastUsedAtMs }) => formatTime(lastUsedAtMs, 'never')],
    ['EXPIRES', ({ expiresAtMs }) => formatTime(expiresAtMs, 'never')],
  ];
}

function keyTable(columns: readonly Column[], records: readonly KeyRecord[]): string {
  return formatTable(
    columns.map(([head]) => head),
    records.map((record) => columns.map(([, cell]) => cell(record))),
  );
}

async function keyFields(store: Store, record: KeyRecord): Promise<string> {
  const names = await agentNames(store, [record]);
  const project = await store.projects.find(record.projectId);
  const agents = record.agents.map((id) => ['agent', `${id}  ${names.get(id) ?? ''}`] as const);
  return formatFields([
    ['id', record.id],
    ['name', record.name],
    ['key', record.maskedKey],
    ['project', `${project.id}  ${project.name}`],
    ['scope', scopeWords(record, names)],
    ...agents,
    ['status', record.status],
    ['created', `${formatTime(record.createdAtMs, '')} by ${record.createdBy}`],
    ['last used', formatTime(record.lastUsedAtMs, 'never')],
    ['expires', formatTime(record.expiresAtMs, 'never')],
    ...(record.rotatedFrom === undefined ? [] : [['replaces', record.rotatedFrom] as const]),
  ]);
}

function scopeWords(record: KeyRecord, names: ReadonlyMap<string, string>): string {
  if (record.scope === 'all') return 'all agents';
  if (record.agents.length === 0) return 'no agent';
  return record.agents.map((id) => names.get(id) ?? id).join(', ');
}

/** Project id → name. */
export async function projectNames(store: Store): Promise<ReadonlyMap<string, string>> {
  const projects = await allItems((page) => store.projects.list(page));
  return new Map(projects.map(({ id, name }) => [id, name]));
}

/** Agent id → name, for the projects of these keys. */
async function agentNames(
  store: Store,
  records: readonly KeyRecord[],
): Promise<ReadonlyMap<string, string>> {
  const projectIds = [...new Set(records.map(({ projectId }) => projectId))];
  const lists = await Promise.all(
    projectIds.map((projectId) => allItems((page) => store.agents.list({ ...page, projectId }))),
  );
  return new Map(lists.flat().map(({ id, name }) => [id, name]));
}
