/**
 * What the tests need of the machine beside Node: the real servers that they start, and Python.
 *
 * On Debian and Ubuntu, where root runs the tests as in a container, what is missing is installed;
 * elsewhere it is told, and the tests that need it fail. Nothing is started and no database is
 * made: tests start servers of their own, in folders of their own.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findPrograms } from './harness/postgres-install.ts';

type Needed = { readonly debianPackage: string; readonly isThere: () => boolean };

const needed: readonly Needed[] = [
  {
    debianPackage: 'redis-server',
    isThere: () => process.env.MIBO_TEST_REDIS_BIN !== undefined || isOnPath('redis-server'),
  },
  { debianPackage: 'postgresql', isThere: () => succeeds(findPrograms) },
  // Lists the processes of a server, to stop all of them.
  { debianPackage: 'procps', isThere: () => isOnPath('ps') },
  // Makes the certificates of servers.
  { debianPackage: 'openssl', isThere: () => isOnPath('openssl') },
  // The examples of docs/admin-api.md run as they are written.
  { debianPackage: 'curl', isThere: () => isOnPath('curl') },
  // Debian's python3 lacks what `python3 -m venv` needs; without Python some is not tested.
  {
    debianPackage: 'python3-venv',
    isThere: () => !isOnPath('python3') || canRun('python3', ['-c', 'import ensurepip']),
  },
];

/**
 * One at a time on a machine. Packages of servers start them and make a database unless they are
 * told not to, by files that are removed again.
 */
const installScript = `
set -e
exec 9>/var/lock/mibo-gateway-tests
flock 9
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d
ours=$clusters/mibo-gateway-tests.conf
trap 'rm -f "$ours" $made' EXIT
if [ ! -e $policy ]; then
  made=$policy
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod +x $policy
fi
mkdir -p $clusters
echo "create_main_cluster = false" > "$ours"
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
`;

/** Run by vitest once before all tests. */
export default function installMissing(): void {
  const missing = needed.filter(({ isThere }) => !isThere()).map((it) => it.debianPackage);
  if (missing.length === 0) return;
  const names = missing.join(' ');
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) {
    tell(`some tests will fail: install ${names} (in the words of Debian) and run them again`);
    return;
  }
  tell(`installing what the tests need: ${names}`);
  try {
    const args = ['-c', installScript, 'install', ...missing];
    execFileSync('/bin/sh', args, { stdio: ['ignore', 2, 2] });
  } catch {
    tell(`some tests will fail: apt-get could not install ${names}, as it says above`);
  }
}

function tell(words: string): void {
  process.stderr.write(`${words}\n`);
}

function isOnPath(program: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.some((folder) => existsSync(join(folder, program)));
}

function canRun(program: string, args: readonly string[]): boolean {
  return succeeds(() => execFileSync(program, args, { stdio: 'ignore' }));
}

function succeeds(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch {
    return false;
  }
}
