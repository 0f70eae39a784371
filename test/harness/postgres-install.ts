/** Where PostgreSQL is installed, and a data folder made once and copied for each server. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chownSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type Programs = {
  /** With initdb and postgres in it. */
  readonly folder: string;
  /** Whom the server runs as; undefined: as who runs the tests. PostgreSQL refuses root. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
};

/** Debian, Ubuntu; Red Hat; Homebrew on Apple and Intel. */
const usualFolders = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
];

/** Throws an error that says what to install. */
export function findPrograms(): Programs {
  const asked = process.env.MIBO_TEST_POSTGRES_BIN;
  const onPath = (process.env.PATH ?? '').split(delimiter).filter((it) => it !== '');
  const usual = usualFolders.flatMap((pattern) => globSync(pattern)).sort(newestFirst);
  const folders = asked === undefined ? [...onPath, ...usual] : [asked];
  const folder = folders.find((it) =>
    ['initdb', 'postgres'].every((program) => existsSync(join(it, program))),
  );
  if (folder === undefined) {
    throw new Error(
      'install PostgreSQL 13 or newer to run these tests (Debian, Ubuntu: apt install postgresql;' +
        ' macOS: brew install postgresql), or set MIBO_TEST_POSTGRES_BIN to the folder with its' +
        ` programs initdb and postgres. Looked in: ${folders.join(', ')}`,
    );
  }
  return { folder, user: process.getuid?.() === 0 ? unprivileged() : undefined };
}

/**
 * Copies an empty cluster to `dataFolder`. It is made under a name of its own and renamed, so that
 * nobody ever copies half of one; if two make it at once, the first one counts.
 */
export async function copyOfTemplate(programs: Programs, dataFolder: string): Promise<void> {
  const { stdout } = await run(join(programs.folder, 'postgres'), ['--version']);
  const version = stdout.trim().replaceAll(/[^\w.]+/g, '-');
  const uid = programs.user?.uid ?? process.getuid?.() ?? 0;
  const template = join(tmpdir(), `mibo-template-of-${uid}-${version}`);
  if (!existsSync(template)) await makeTemplate(programs, template);
  if (statSync(template).uid !== uid) throw new Error(`remove ${template}: it is somebody else's`);
  await run('cp', ['-Rp', `${template}/.`, dataFolder], programs.user);
}

async function makeTemplate(programs: Programs, template: string): Promise<void> {
  const folder = `${template}-${randomBytes(8).toString('hex')}`;
  mkdirSync(folder, { mode: 0o700 });
  if (programs.user !== undefined) chownSync(folder, programs.user.uid, programs.user.gid);
  const args = ['-D', folder, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--locale=C'];
  await run(join(programs.folder, 'initdb'), [...args, '--no-sync'], {
    ...programs.user,
    cwd: folder,
  });
  demandPasswords(join(folder, 'pg_hba.conf'));
  try {
    renameSync(folder, template);
  } catch (error) {
    if (!existsSync(template)) throw error;
    rmSync(folder, { recursive: true });
  }
}

/** Of everybody but the superuser. The first line that fits decides. */
function demandPasswords(file: string): void {
  rmSync(file);
  appendFileSync(
    file,
    'host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
  );
}

function newestFirst(a: string, b: string): number {
  return versionIn(b) - versionIn(a);
}

function versionIn(folder: string): number {
  return Number(/(\d+)\/bin$/.exec(folder)?.[1] ?? 0);
}

/** The user that packages make for PostgreSQL, else the one for programs without any rights. */
function unprivileged(): { readonly uid: number; readonly gid: number } {
  const users = readFileSync('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const ids = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(users);
    if (ids !== null) return { uid: Number(ids[1]), gid: Number(ids[2]) };
  }
  throw new Error('run the tests as another user: PostgreSQL refuses to run as root');
}
