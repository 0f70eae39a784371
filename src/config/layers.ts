/** Where settings come from: YAML files and `--set`, each a tree that knows its own places. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type Document,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parse,
  parseDocument,
  type YAMLError,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { fromEnv } from './environment.ts';
import type { ConfigProblem } from './problems.ts';
import { settingEntries } from './schema.ts';
import { substituted } from './setting.ts';
import { holdsItself, isTree, treeOf } from './tree.ts';

export type Layer = {
  readonly tree: unknown;
  /** Where a dotted name stands in this layer, as `file:line:column` or `--set NAME`. */
  locate(path: string): string | undefined;
};

type Report = (problem: ConfigProblem) => void;

/** One file, relative to `cwd`. A file with a fault is reported and gives no layer. */
export function readLayer(file: string, cwd: string, report: Report): Layer | undefined {
  const text = readText(file, cwd, report);
  if (text === undefined) return undefined;
  const lines = new LineCounter();
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  const faults = tellingFaults([...document.errors, ...document.warnings]);
  for (const fault of faults) report(syntaxProblem(fault, { text, at: place(fault.pos[0]) }));
  if (faults.length > 0) return undefined;
  const tree = plainTree(document, file, report);
  if (tree === undefined) return undefined;
  return { tree, locate: (path) => locateIn(document.contents, path, place) };
}

function readText(file: string, cwd: string, report: Report): string | undefined {
  try {
    return readFileSync(resolve(cwd, file), 'utf8');
  } catch (fault) {
    const code = (fault as NodeJS.ErrnoException).code;
    const expected = 'a file that can be read';
    const hint =
      code === 'ENOENT' ? 'it does not exist: check the path' : `the system says ${code}`;
    report({ path: '', at: file, value: undefined, expected, hint });
    return undefined;
  }
}

/** Doubled names each, and the first fault of syntax: the next ones mostly follow from it. */
function tellingFaults(faults: readonly YAMLError[]): readonly YAMLError[] {
  const first = faults.find(({ code }) => code !== 'DUPLICATE_KEY');
  return faults.filter((fault) => fault === first || fault.code === 'DUPLICATE_KEY');
}

function syntaxProblem(fault: YAMLError, where: { text: string; at: string }): ConfigProblem {
  const problem = { path: '', at: where.at, value: undefined };
  if (fault.code === 'DUPLICATE_KEY') {
    const hint = 'keep one of the entries with this name';
    return { ...problem, expected: 'each name once', hint };
  }
  // What follows a colon may quote the file, and the file may hold a key.
  const expected = `valid YAML (${fault.message.split(/[:;]/)[0]})`;
  // A reference holds braces, which end a map in braces unless it is quoted.
  if (where.text.slice(0, fault.pos[1]).endsWith('${')) {
    return { ...problem, expected, hint: `write "${fromEnv('NAME')}" in quotes within { }` };
  }
  return { ...problem, expected };
}

const noLoop = 'aliases (*name) that stand outside of what they name';

function plainTree(document: Document, file: string, report: Report): unknown {
  const problem = { path: '', at: file, value: undefined };
  try {
    const tree: unknown = document.toJS();
    if (holdsItself(tree)) return void report({ ...problem, expected: noLoop });
    if (tree === null || isTree(tree)) return tree ?? {};
    report({ ...problem, expected: 'sections such as receivers: and downstream:' });
  } catch {
    report({ ...problem, expected: 'aliases (*name) whose anchor (&name) stands before them' });
  }
  return undefined;
}

/** Where a dotted name stands, or the last thing on the way to it that is no map or list. */
function locateIn(
  root: Node | null,
  path: string,
  place: (offset: number) => string,
): string | undefined {
  let node: unknown = root;
  let offset: number | undefined;
  let rest = path;
  while (rest !== '' && (isMap(node) || isSeq(node))) {
    const step = isMap(node) ? stepInMap(node, rest) : stepInList(node, rest);
    if (step === undefined) return undefined;
    ({ node, offset } = step);
    rest = rest.slice(step.name.length + 1);
  }
  return offset === undefined ? undefined : place(offset);
}

type Step = { name: string; node: unknown; offset: number | undefined };

/** Names may hold dots and capitals of their own, as headers do. */
function stepInMap(map: YAMLMap, rest: string): Step | undefined {
  for (const { key, value } of map.items) {
    const name = isScalar(key) ? String(key.value).toLowerCase() : '';
    if (isNode(key) && `${rest.toLowerCase()}.`.startsWith(`${name}.`)) {
      return { name, node: value, offset: key.range?.[0] };
    }
  }
  return undefined;
}

function stepInList(list: YAMLSeq, rest: string): Step | undefined {
  const name = rest.split('.', 1)[0] as string;
  const node = list.items[Number(name)];
  return isNode(node) ? { name, node, offset: node.range?.[0] } : undefined;
}

/** One `--set a.b=value`; the value is read as YAML where the setting is not a text. */
export function setLayer(argument: string, report: Report): Layer | undefined {
  const name = argument.split('=', 1)[0] as string;
  const path = name.split('.');
  if (name === argument || path.includes('')) {
    const hint = 'for example --set telemetry.logs.level=debug';
    const expected = 'NAME=VALUE with a name such as a.b.c';
    // Not repeated: without a name it may be a secret.
    report({ path: '', at: '--set', value: undefined, expected, hint });
    return undefined;
  }
  const value = setValue(name, argument.slice(name.length + 1));
  if (holdsItself(value)) {
    const at = `--set ${name}`;
    report({ path: name, at, value: undefined, expected: noLoop });
    return undefined;
  }
  return {
    tree: treeOf(path, value),
    locate: (wanted) => (`${wanted}.`.startsWith(`${name}.`) ? `--set ${name}` : undefined),
  };
}

function setValue(name: string, text: string): unknown {
  try {
    const value: unknown = parse(text, { logLevel: 'error' });
    // Quotes in YAML make it a text; the rest is decided later.
    if (typeof value === 'string') return value;
    if ((isTree(value) || Array.isArray(value)) && mayHoldMore(name)) return value;
  } catch {
    // Not YAML, such as [::1]:4317: the text itself.
  }
  return substituted(text);
}

/** Not a setting of a single value, where `127.0.0.1:` is a slip and no map. */
function mayHoldMore(name: string): boolean {
  const entry = settingEntries.find(({ path }) => path.join('.') === name);
  return entry === undefined || typeof entry.setting.preset === 'object';
}
