/**
 * `keys create / list / show / rename / scope / rotate / revoke / import`.
 *
 * A new key is alone on standard output, so that `KEY=$(mibo-gateway keys create …)` works; all
 * words about it go to standard error. No key is ever taken from the command line, where `ps` and
 * the shell's history would keep it.
 */
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { type CreatedKey, type KeyRecord, keyJson, type Store } from '../auth/auth.ts';
import type { Config } from '../config/config.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { fileFault } from './file-fault.ts';
import { type Io, say, writeJson } from './io.ts';
import { addKeyViews } from './keys-view.ts';
import { Refusal } from './refusal.ts';
import { actor } from './registry.ts';
import {
  addSettings,
  collect,
  loadSettings,
  type SettingsOptions,
  withChange,
} from './settings.ts';
import { formatTime } from './table.ts';

type Options = SettingsOptions & { readonly json?: boolean };
const defaultGrace = '24h';

type NewKeyOptions = Options & {
  readonly project: string;
  readonly name: string;
  readonly agent?: string[];
  /** Milliseconds from now. */
  readonly expires?: number;
};

export function addKeyCommands(program: Command, io: Io): void {
  const keys = program.command('keys').description('API keys: who may send, and to which agents');
  addCreate(keys, io);
  addImport(keys, io);
  addKeyViews(keys, io);
  addRename(keys, io);
  addScope(keys, io);
  addRotate(keys, io);
  addRevoke(keys, io);
}

function newKeyOptions(command: Command): Command {
  return addSettings(command)
    .requiredOption('--project <id or name>', 'the project that it belongs to')
    .requiredOption('--name <name>', 'what it is for')
    .option('--agent <uuid>', 'only this agent; repeatable (default: all of the project)', collect)
    .option('--expires <duration>', 'stops working after this, such as 90d', parseDuration);
}

async function newKey(store: Store, options: NewKeyOptions) {
  const { id: projectId } = await store.projects.find(options.project);
  return {
    projectId,
    name: options.name,
    by: actor(),
    ...(options.agent === undefined ? {} : { agents: options.agent }),
    ...(options.expires === undefined ? {} : { expiresAtMs: Date.now() + options.expires }),
  };
}

function addCreate(keys: Command, io: Io): void {
  newKeyOptions(keys.command('create').description('make a key; prints it, this once'))
    .option('--json', 'print the record and the key as JSON')
    .action(async (options: NewKeyOptions) => {
      await withChange(io, options, async (store) => {
        const created = await store.keys.create(await newKey(store, options));
        printSecret(io, options, created);
        const { record } = created;
        say(
          io,
          `Key "${record.name}" (${record.id}) is active; it is not shown again. To use it:`,
          ...exportLines(loadSettings(io, options), record),
        );
      });
    });
}

/** What a sender's shell needs; the gateway's host is not known here. */
function exportLines({ receivers, auth, routing }: Config, record: KeyRecord): string[] {
  const { port } = receivers.otlp.protocols.http.endpoint;
  const [agent = '<agent uuid>'] = record.agents;
  return [
    `  export OTEL_EXPORTER_OTLP_ENDPOINT=http://<host of the gateway>:${port}`,
    '  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf',
    `  export OTEL_EXPORTER_OTLP_HEADERS=${auth.header}=<the key>`,
    // A key of one agent needs nothing more.
    ...(record.agents.length === 1
      ? []
      : [`  export OTEL_RESOURCE_ATTRIBUTES=${routing.attribute}=${agent}`]),
  ];
}

function addImport(keys: Command, io: Io): void {
  newKeyOptions(keys.command('import').description('take over a key that exists elsewhere'))
    .option('--key-file <file>', 'read the key from this file (default: standard input)')
    .option('--json', 'print the record as JSON')
    .action(async (options: NewKeyOptions & { readonly keyFile?: string }) => {
      const key = options.keyFile === undefined ? await readStdin(io) : readKey(options.keyFile);
      await withChange(io, options, async (store) => {
        const record = await store.keys.importKey({ ...(await newKey(store, options)), key });
        if (options.json) writeJson(io, keyJson(record));
        else io.stdout.write(`${record.id}\n`);
        say(io, `Key ${record.maskedKey} works here now, as "${record.name}" (${record.id}).`);
      });
    });
}

async function readStdin(io: Io): Promise<string> {
  if (io.stdin.isTTY) say(io, 'Paste the key, then press Enter and Ctrl-D:');
  let text = '';
  for await (const chunk of io.stdin) text += chunk.toString();
  if (text.trim() === '') {
    throw new Refusal('pipe the key in, or name its file with --key-file: standard input is empty');
  }
  return text.trim();
}

function readKey(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new Refusal(`check --key-file: ${fileFault(path, error)}`);
  }
}

function addRename(keys: Command, io: Io): void {
  change(keys.command('rename <id>').description('give a key another name'))
    .requiredOption('--name <name>', 'the new name')
    .action(async (id: string, options: Options & { readonly name: string }) => {
      await withChange(io, options, async (store) => {
        const record = await store.keys.rename(id, { name: options.name, by: actor() });
        printChange(io, options, record);
        say(io, `Key ${record.id} is now called "${record.name}".`);
      });
    });
}

function addScope(keys: Command, io: Io): void {
  change(keys.command('scope <id>').description('choose the agents that a key may reach'))
    .option('--agent <uuid>', 'only these agents; repeatable', collect)
    .option('--all', 'every agent of the project, later ones too')
    .action(
      async (id: string, options: Options & { agent?: string[]; all?: boolean }, self: Command) => {
        if (Boolean(options.all) === Boolean(options.agent)) {
          self.error('error: give either --agent (repeatable) or --all', { exitCode: 2 });
        }
        await withChange(io, options, async (store) => {
          const agents = options.agent ?? ('all' as const);
          const record = await store.keys.setScope(id, { agents, by: actor() });
          printChange(io, options, record);
          const reach = record.scope === 'all' ? 'every agent' : record.agents.join(', ');
          say(io, `Key "${record.name}" (${record.id}) may now reach ${reach}.`);
        });
      },
    );
}

function addRotate(keys: Command, io: Io): void {
  change(keys.command('rotate <id>').description('make a new key that replaces this one'))
    .addOption(
      new Option('--grace <duration>', 'how long the old one still works; 0 for not at all')
        .argParser(parseDuration)
        .default(parseDuration(defaultGrace), defaultGrace),
    )
    .action(async (id: string, options: Options & { readonly grace: number }) => {
      await withChange(io, options, async (store) => {
        const created = await store.keys.rotate(id, { graceMs: options.grace, by: actor() });
        printSecret(io, options, created);
        // Reckoned: nobody can look at the old one any more once somebody else has revoked it.
        const until = formatTime(created.record.createdAtMs + options.grace, '');
        say(
          io,
          `Key "${created.record.name}" (${created.record.id}) is active; it is not shown again.`,
          options.grace === 0
            ? `The old one (${id}) has stopped working.`
            : `The old one (${id}) works until ${until} UTC at the latest. Once nobody uses it:`,
          ...(options.grace === 0 ? [] : [`  ${io.program} keys revoke ${id}`]),
        );
      });
    });
}

function addRevoke(keys: Command, io: Io): void {
  change(
    keys.command('revoke <id>').description('delete a key for good; it stops working at once'),
  ).action(async (id: string, options: Options) => {
    await withChange(io, options, async (store) => {
      const { effective, effectiveAfterMs } = await store.keys.revoke(id, { by: actor() });
      if (options.json) writeJson(io, { effective, effective_after_ms: effectiveAfterMs });
      say(
        io,
        `Revoked: no gateway accepts it any more (after ${formatDuration(effectiveAfterMs)}).`,
      );
    });
  });
}

function change(command: Command): Command {
  return addSettings(command).option('--json', 'print the result as JSON');
}

function printSecret(io: Io, options: Options, { record, key }: CreatedKey): void {
  if (options.json) writeJson(io, { ...keyJson(record), key });
  else io.stdout.write(`${key}\n`);
}

function printChange(io: Io, options: Options, record: KeyRecord): void {
  if (options.json) writeJson(io, keyJson(record));
}
