/**
 * What a fresh clone needs before the gateway can run: its packages and a Node that is new enough.
 *
 * Plain JavaScript for Node ≥ 20 without dependencies, since it runs before any are installed.
 * Promise: nothing is written where nothing is missing, so a complete read-only folder works, and
 * standard output stays free for the command's own words.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The gateway's source is TypeScript that Node runs as it is, on the version it is tested with. */
const nodeMajorMin = 26;
const modules = join(root, 'node_modules');
/** npm writes it last of all, so that it only exists once an install is complete. */
const installedPath = join(modules, '.package-lock.json');
const lockPath = join(root, '.cache', 'install.lock');
const lockAgeMaxMs = 15 * 60_000;
/** A terminal signals the whole group, and npm passes signals on too: that is one signal. */
const sameSignalMs = 500;

/** A reason to stop that is told to the user in plain words. */
class Unready extends Error {}

/**
 * Installs what is missing and runs `script` (relative to the root) under a Node new enough: in
 * this process where possible, else in a child that gets our streams and signals.
 */
export async function run(script, args, options = { dev: false }) {
  try {
    installMissing(options);
    const node = findNode();
    const path = join(root, script);
    endWithNpm();
    if (node !== process.execPath) return runChild(node, [path, ...args]);
    process.argv = [node, path, ...args];
    await import(pathToFileURL(path).href);
  } catch (error) {
    if (!(error instanceof Unready)) throw error;
    process.stderr.write(`mibo-gateway: ${error.message}\n`);
    process.exitCode = 1;
  }
}

function installMissing(options) {
  if (isComplete(options)) return;
  lock();
  try {
    // Another process may have installed while this one waited for the lock.
    if (!isComplete(options)) install();
  } finally {
    rmSync(lockPath, { force: true });
  }
}

/** Whether each package of the lock file is there, in the version of the lock file. */
function isComplete({ dev }) {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages;
  // An image may be built without a lock file: there is nothing to compare, nor to install from.
  if (wanted === undefined) return existsSync(modules);
  const installed = readJson(installedPath)?.packages;
  if (installed === undefined) return false;
  return Object.entries(wanted).every(([path, { version, integrity, ...flags }]) => {
    if (!path.startsWith('node_modules/') || (flags.dev && !dev)) return true;
    const found = installed[path];
    if (found === undefined) return Boolean(flags.optional || (flags.devOptional && !dev));
    // npm can write its record without installing (--package-lock-only): the package itself tells.
    const there = readJson(join(root, path, 'package.json'))?.version;
    return found.version === version && found.integrity === integrity && there === version;
  });
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function install() {
  process.stderr.write('mibo-gateway: installing what is missing (once)…\n');
  // Should this install be interrupted, nothing may look like a complete one.
  rmSync(installedPath, { force: true });
  // Not the Node that is about to be replaced.
  const path = (process.env.PATH ?? '').split(delimiter);
  const { error, status, signal } = spawnSync(
    'npm',
    [
      'ci',
      '--ignore-scripts',
      '--include=dev',
      '--include=optional',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
    ],
    {
      cwd: root,
      env: { ...process.env, PATH: path.filter((folder) => !isModules(folder)).join(delimiter) },
      shell: process.platform === 'win32',
      stdio: ['ignore', 2, 2],
    },
  );
  if (error?.code === 'ENOENT') throw new Unready('install npm: it comes with Node, nodejs.org');
  if (error !== undefined || status !== 0) {
    const how = error?.message ?? signal ?? `exit code ${status}`;
    throw new Unready(`run this again once npm can install packages; \`npm ci\` failed (${how})`);
  }
}

function isModules(folder) {
  return folder.endsWith(join('node_modules', '.bin'));
}

/** Two commands started in a fresh clone must not install into each other's folder. */
function lock() {
  for (let told = false; ; told = true) {
    try {
      mkdirSync(dirname(lockPath), { recursive: true });
      writeFileSync(lockPath, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') {
        throw new Unready(`run \`npm ci\` in ${root}: packages are missing (${error.message})`);
      }
    }
    if (isStale()) rmSync(lockPath, { force: true });
    else if (!told) process.stderr.write('mibo-gateway: waiting for another install to end…\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
}

function isStale() {
  try {
    const pid = Number(readFileSync(lockPath, 'utf8'));
    if (Date.now() - statSync(lockPath).mtimeMs > lockAgeMaxMs || pid === process.pid) return true;
    // An empty file belongs to a process that is just about to write its number.
    return pid > 0 && !isAlive(pid);
  } catch {
    // It went away in between.
    return false;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** This Node if it is new enough, else the one that is installed as a package. */
function findNode() {
  if (Number.parseInt(process.versions.node, 10) >= nodeMajorMin) return process.execPath;
  const [system, file] =
    process.platform === 'win32' ? ['win', 'node.exe'] : [process.platform, 'node'];
  const candidates = ['node', 'node-bin'].map((name) =>
    join(modules, `${name}-${system}-${process.arch}`, 'bin', file),
  );
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Unready(
    `install Node ${nodeMajorMin} or newer: this is ${process.version}, and npm has no Node ` +
      `package for ${process.platform}-${process.arch}`,
  );
}

/**
 * npm ends its shell when it is asked to stop, and a shell passes no signals on: without this the
 * gateway would stay behind and keep the ports.
 */
function endWithNpm() {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 250);
  timer.unref();
}

/**
 * Same streams, same end. The channel lets the child notice when this process is killed outright,
 * so that it never stays behind and keeps the ports.
 */
function runChild(node, args) {
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  const lastAtMs = new Map();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
    process.on(name, () => {
      const nowMs = performance.now();
      if (nowMs - (lastAtMs.get(name) ?? -sameSignalMs) < sameSignalMs) return;
      lastAtMs.set(name, nowMs);
      child.kill(name);
    });
  }
  child.on('error', (error) => {
    process.stderr.write(`mibo-gateway: install Node ${nodeMajorMin} or newer: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
