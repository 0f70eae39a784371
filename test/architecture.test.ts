/**
 * The architecture, held by machine. Each failure names the remedy. The rules stand in
 * docs/ARCHITECTURE.md; lengths of functions and numbers of parameters are held by the linter.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

/** Who may import whom: a room's door only, but every file of `core`. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: [],
  observability: ['core'],
  otlp: ['core', 'observability'],
  auth: ['core', 'observability'],
  queue: ['core', 'observability'],
  routing: ['core', 'otlp'],
  forwarder: ['core', 'observability', 'otlp', 'queue'],
  receiver: ['core', 'otlp', 'observability'],
  ingest: ['core', 'otlp', 'auth', 'routing', 'queue', 'observability'],
  config: ['core'],
  admin: ['core', 'auth', 'routing', 'queue', 'observability'],
  gateway: [
    'ingest',
    'core',
    'otlp',
    'auth',
    'routing',
    'queue',
    'forwarder',
    'receiver',
    'admin',
    'observability',
    'config',
  ],
  cli: ['config', 'gateway', 'auth', 'queue', 'otlp', 'core', 'observability'],
  main: ['cli'],
};

/** Libraries that only one room may know, so that each can be exchanged behind one door. */
const libraryRooms: Readonly<Record<string, readonly string[]>> = {
  protobufjs: ['otlp'],
  undici: ['forwarder'],
  pino: ['observability'],
  'prom-client': ['observability'],
  zod: ['config', 'admin'],
  hono: ['admin'],
  '@hono': ['admin'],
  pg: ['auth'],
  ioredis: ['auth'],
  yaml: ['config'],
  commander: ['cli'],
  'node:sqlite': ['auth'],
  'node:http2': ['receiver'],
};

/** Never in src: pattern, who may all the same, and what to do instead. */
const banned: readonly { pattern: RegExp; allowed: readonly string[]; remedy: string }[] = [
  {
    pattern: /\bprocess\.exit\(/,
    allowed: ['src/main.ts'],
    remedy: 'throw, or return an exit code; only src/main.ts ends the process',
  },
  {
    pattern: /\bprocess\.env\b/,
    allowed: ['src/cli/', 'src/main.ts'],
    remedy: 'settings come from src/config, which is handed the environment by the CLI',
  },
  {
    pattern: /\bconsole\./,
    allowed: [],
    remedy: 'log through observability; commands write to the streams that they are handed',
  },
  {
    pattern: /\bMath\.random\(/,
    allowed: ['src/forwarder/', 'src/receiver/', 'src/gateway.ts'],
    remedy: 'use node:crypto for secrets; take a `random` option where jitter is wanted',
  },
  {
    pattern: /\b(TODO|FIXME|XXX|HACK)\b/,
    allowed: [],
    remedy: 'do it now, or write it down in the tracker',
  },
  {
    pattern: /\bfetch\(/,
    allowed: ['src/cli/'],
    remedy: "the forwarder's undici dispatch is the one way out",
  },
];

const linesMax = 400;
const columnsMax = 100;

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

/** `src/queue/lane.ts` → `queue`; `src/ingest.ts` and `src/ingest-flat.ts` → `ingest`. */
function roomOf(file: string): string {
  const [first = '', ...rest] = file.replace(/^src\//, '').split('/');
  return rest.length > 0 ? first : basename(first, '.ts').replace(/-.*$/, '');
}

function isDoor(file: string): boolean {
  const room = roomOf(file);
  return room === 'core' || file === `src/${room}.ts` || file === `src/${room}/${room}.ts`;
}

type Import = { readonly from: string; readonly specifier: string };

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const pattern =
    /(?:^|\n)\s*(?:import|export)\b[^'";]*?\bfrom\s*'([^']+)'|\bimport\(\s*'([^']+)'/g;
  return [...text.matchAll(pattern)].map((match) => ({
    from: file,
    specifier: match[1] ?? match[2] ?? '',
  }));
}

const files = sourceFiles('src');
const imports = files.flatMap(importsOf);

/** What a sidecar does without: loaded by `import()` where it is used, and by nothing before. */
const loadedLate = [
  'pg',
  'ioredis',
  'hono',
  '@hono/node-server',
  '@hono/zod-openapi',
  'node:sqlite',
];

/** All that is loaded together with `file`: what it imports at its top, types left out. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(join(root, file), 'utf8');
  const pattern = /(?:^|\n)(?:import|export)\b(?!\s+type\b)[^'";]*?\bfrom\s*'([^']+)'/g;
  for (const [, specifier = ''] of text.matchAll(pattern)) {
    if (specifier.startsWith('.')) {
      loadedWith(
        relative(root, resolve(root, dirname(file), specifier))
          .split(sep)
          .join('/'),
        seen,
      );
    } else seen.add(specifier);
  }
  return seen;
}

describe('rooms', () => {
  test('every source file belongs to a known room', () => {
    const homeless = files.filter((file) => mayImport[roomOf(file)] === undefined);
    expect(homeless, 'move these into a room of docs/ARCHITECTURE.md').toEqual([]);
  });

  test('what a sidecar does without is not loaded with the program', () => {
    const loaded = loadedWith('src/cli/start.ts', loadedWith('src/cli/cli.ts'));
    expect(loaded).toContain('src/gateway.ts');
    expect(loaded).toContain('undici');
    const wrong = loadedLate.filter((library) => loaded.has(library));
    expect(wrong, 'import() these where they are used: the memory of a sidecar counts').toEqual([]);
  });

  test('imports follow the direction of docs/ARCHITECTURE.md', () => {
    const wrong = imports.flatMap(({ from, specifier }) => {
      if (!specifier.startsWith('.')) return [];
      const target = relative(root, resolve(root, dirname(from), specifier))
        .split(sep)
        .join('/');
      const [room, other] = [roomOf(from), roomOf(target)];
      if (room === other) return [];
      if (!mayImport[room]?.includes(other)) {
        return [
          `${from} imports ${target}: ${room} may import only ${mayImport[room]}; pass it in`,
        ];
      }
      if (!isDoor(target))
        return [`${from} imports ${target}: import the door of ${other} instead`];
      return [];
    });
    expect(wrong).toEqual([]);
  });

  test('each library is known to one room', () => {
    const wrong = imports.flatMap(({ from, specifier }) => {
      const name = Object.keys(libraryRooms).find(
        (library) => specifier === library || specifier.startsWith(`${library}/`),
      );
      if (name === undefined || libraryRooms[name]?.includes(roomOf(from))) return [];
      return [`${from} imports ${specifier}: go through the door of ${libraryRooms[name]}`];
    });
    expect(wrong).toEqual([]);
  });

  test('there are no barrels and no junk drawers', () => {
    const wrong = files.filter((file) => /\b(index|utils?|helpers?|common|lib)\b/.test(file));
    expect(wrong, 'name the file after what it exports').toEqual([]);
  });

  test('every room has a door that says what it promises', () => {
    const rooms = [...new Set(files.filter((file) => file.split('/').length > 2).map(roomOf))];
    const wrong = rooms
      .filter((room) => room !== 'core')
      .filter((room) => {
        const door = `src/${room}/${room}.ts`;
        return !files.includes(door) || !readFileSync(join(root, door), 'utf8').startsWith('/**');
      });
    expect(wrong, 'add src/<room>/<room>.ts that starts with a header comment').toEqual([]);
  });
});

describe('limits', () => {
  const all = [...files, ...sourceFiles('test'), ...sourceFiles('bench')];

  test(`no file has more than ${linesMax} lines`, () => {
    const wrong = all.filter((file) => lines(file).length > linesMax + 1);
    expect(wrong, 'split the file by what its parts are about').toEqual([]);
  });

  test(`no line has more than ${columnsMax} characters`, () => {
    const wrong = all.flatMap((file) =>
      lines(file).flatMap((line, index) =>
        line.length > columnsMax ? [`${file}:${index + 1} has ${line.length}`] : [],
      ),
    );
    expect(wrong, 'break the line; long texts are joined from parts').toEqual([]);
  });

  test('nothing banned is used', () => {
    const wrong = files.flatMap((file) =>
      banned.flatMap(({ pattern, allowed, remedy }) => {
        if (allowed.some((prefix) => file.startsWith(prefix))) return [];
        const line = lines(file).findIndex((text) => pattern.test(text));
        return line < 0 ? [] : [`${file}:${line + 1} ${pattern}: ${remedy}`];
      }),
    );
    expect(wrong).toEqual([]);
  });
});

function lines(file: string): string[] {
  return readFileSync(join(root, file), 'utf8').split('\n');
}
