/** `audit list`: who has changed what in the registry. */
import { type Command, InvalidArgumentError } from 'commander';
import { type AuditEntry, auditJson, type PageRequest, type Store } from '../auth/auth.ts';
import { type Io, say, writeJson } from './io.ts';
import { projectNames } from './keys-view.ts';
import { addSettings, type SettingsOptions, withStore } from './settings.ts';
import { formatTable, formatTime } from './table.ts';

type Options = SettingsOptions & {
  readonly project?: string;
  readonly subject?: string;
  readonly limit: number;
  readonly json?: boolean;
};

const defaultLimit = 100;
const pageItemsMax = 1000;

export function addAuditCommands(program: Command, io: Io): void {
  const audit = program.command('audit').description('the audit: who changed what, and when');
  addSettings(audit.command('list').description('list the changes, the newest first'))
    .option('--project <id or name>', 'only those of this project')
    .option('--subject <id>', 'only those of this key, agent or project')
    .option('--limit <number>', 'how many', parseLimit, defaultLimit)
    .option('--json', 'print them as JSON')
    .action(async (options: Options) => {
      await withStore(io, options, async (store, place) => {
        const { entries, isAll } = await newestEntries(store, options);
        if (options.json) writeJson(io, { items: entries.map(auditJson) });
        else if (entries.length === 0) say(io, `No changes in ${place}.`);
        else io.stdout.write(entryTable(entries, await projectNames(store)));
        if (!isAll)
          say(io, `There are older ones. To see more, add: --limit ${options.limit * 10}`);
      });
    });
}

async function newestEntries(store: Store, { project, subject, limit }: Options) {
  const filter = {
    ...(project === undefined ? {} : { projectId: (await store.projects.find(project)).id }),
    ...(subject === undefined ? {} : { subjectId: subject }),
  };
  const entries: AuditEntry[] = [];
  let next: Pick<PageRequest, 'cursor'> | undefined = {};
  while (next !== undefined && entries.length < limit) {
    const pageLimit = Math.min(pageItemsMax, limit - entries.length);
    const page = await store.audit.list({ ...filter, ...next, limit: pageLimit });
    entries.push(...page.items);
    next = page.nextCursor === undefined ? undefined : { cursor: page.nextCursor };
  }
  return { entries, isAll: next === undefined };
}

function entryTable(entries: readonly AuditEntry[], projects: ReadonlyMap<string, string>): string {
  const rows = entries.map((entry) => [
    formatTime(entry.atMs, ''),
    entry.by,
    entry.action,
    projects.get(entry.projectId) ?? entry.projectId,
    entry.subjectId,
    detailWords(entry),
  ]);
  return formatTable(['TIME', 'BY', 'ACTION', 'PROJECT', 'SUBJECT', 'DETAILS'], rows);
}

/** `name=Production scope=agents agents=7b0f…`: what is there, in the words of the JSON form. */
function detailWords(entry: AuditEntry): string {
  return Object.entries(auditJson(entry).details)
    .filter(([, value]) => value !== null && value !== undefined && String(value) !== '')
    .map(([name, value]) => `${name}=${typeof value === 'object' ? listWords(value) : value}`)
    .join('  ');
}

function listWords(value: unknown): string {
  return Array.isArray(value) ? value.join(',') : JSON.stringify(value);
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (/^[1-9]\d*$/.test(text) && Number.isSafeInteger(limit)) return limit;
  throw new InvalidArgumentError('write a whole number from 1');
}
