import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, type ConfigProblem, loadConfig } from '../../src/config/config.ts';

type Given = { files?: readonly string[]; sets?: readonly string[]; env?: NodeJS.ProcessEnv };

/** Loads YAML texts as files named 0.yaml, 1.yaml, … */
export function load({ files = [], sets = [], env = {} }: Given) {
  const cwd = mkdtempSync(join(tmpdir(), 'mibo-config-'));
  const names = files.map((text, index) => {
    writeFileSync(join(cwd, `${index}.yaml`), text);
    return `${index}.yaml`;
  });
  return loadConfig({ files: names, sets, env, cwd });
}

/** The problems of a configuration that must not load. */
export function problemsOf(given: Given): readonly ConfigProblem[] {
  try {
    load(given);
  } catch (fault) {
    if (fault instanceof ConfigError) return fault.problems;
    throw fault;
  }
  throw new Error('it loaded without a problem');
}
