/**
 * The container image as a folder, made by what the Dockerfile itself says, since not every machine
 * that runs the tests can build one. Packages come from the checkout instead of the registry.
 */
import { chownSync, cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const checkout = resolve(import.meta.dirname, '../..');

export type Instruction = { readonly name: string; readonly words: string };

/** One entry per instruction; lines that end in a backslash are joined. */
export function readDockerfile(): Instruction[] {
  const text = readFileSync(join(checkout, 'Dockerfile'), 'utf8').replaceAll(/\\\n/g, ' ');
  return [...text.matchAll(/^([A-Z]+) (.*)$/gm)].map(([, name = '', words = '']) => {
    return { name, words: words.trim() };
  });
}

export type Image = {
  /** Absolute paths of the image begin here. */
  readonly root: string;
  /** `command` as the image runs it, with its paths inside `root`. */
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthCheck: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly user: number;
};

/** What the last stage of the Dockerfile makes, below `root`. */
export function makeImage(root: string): Image {
  const all = readDockerfile();
  const last = all.slice(all.findLastIndex(({ name }) => name === 'FROM'));
  const one = (name: string) => last.findLast((each) => each.name === name)?.words ?? '';
  const user = Number(one('USER').split(':')[0]);
  let workdir = '/';
  for (const { name, words } of last) {
    if (name === 'WORKDIR') workdir = words;
    if (name === 'COPY') copy(words, join(root, workdir));
  }
  const data = join(root, one('VOLUME'));
  mkdirSync(data);
  if (process.getuid?.() === 0) chownSync(data, user, user);
  return {
    root,
    entrypoint: list(one('ENTRYPOINT')),
    command: list(one('CMD')),
    healthCheck: list(one('HEALTHCHECK').replace(/^.* CMD /, '')),
    env: Object.fromEntries(
      last.filter(({ name }) => name === 'ENV').map(({ words }) => words.split('=')),
    ),
    user,
  };
}

/** `COPY a b ./`, `COPY a ./a`, or the packages of the stage before. */
function copy(words: string, workdir: string): void {
  mkdirSync(workdir, { recursive: true });
  if (words.startsWith('--from=')) {
    copyPackages(workdir);
    return;
  }
  const sources = words.split(/\s+/);
  const target = sources.pop() ?? '';
  for (const source of sources) {
    const to = target.endsWith('/') ? join(target, source) : target;
    cpSync(join(checkout, source), join(workdir, to), { recursive: true });
  }
}

type Packages = Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean }>;

/** What `npm ci --omit=dev --omit=optional` installs. */
function copyPackages(workdir: string): void {
  const lock = readFileSync(join(checkout, 'package-lock.json'), 'utf8');
  const { packages } = JSON.parse(lock) as { packages: Packages };
  for (const [path, { dev, optional, devOptional }] of Object.entries(packages)) {
    if (path === '' || dev || optional || devOptional) continue;
    cpSync(join(checkout, path), join(workdir, path), { recursive: true });
  }
}

function list(json: string): string[] {
  return JSON.parse(json) as string[];
}
