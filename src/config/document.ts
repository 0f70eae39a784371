/** gateway.yaml and the page of all settings, both made from the schema so that they cannot drift. */
import { stringify } from 'yaml';
import { type Entry, entries } from './schema.ts';
import { unavailableAt } from './unavailable.ts';

const commentColumn = 50;

const yamlHead = `\
# Every setting of the gateway with its default and its meaning. Keep only what you change.
# This file is made from src/config/ and a test holds the two equal; docs/configuration.md says more.
# Durations: 500ms, 5s, 3m, 1h30m. Endpoints: host:port. Paths: relative to the working directory.
`;

/** The text of config/gateway.yaml. */
export function gatewayYaml(): string {
  return `${yamlHead}${entries.map(yamlLine).join('\n')}\n`;
}

function yamlLine(entry: Entry): string {
  const indent = '  '.repeat(entry.path.length - 1);
  const value = entry.setting === undefined ? '' : ` ${inline(entry.setting.preset)}`;
  const line = `${indent}${entry.path.at(-1)}:${value}`;
  return `${line.padEnd(commentColumn)} # ${meaning(entry)}`;
}

function meaning(entry: Entry): string {
  const row = unavailableAt(entry);
  // Said once for a section, not again for all that it holds.
  if (row === undefined || row.path !== entry.path.join('.')) return entry.about;
  const what = row.values === undefined ? 'Not available yet' : `${row.values.join(', ')}: not yet`;
  return `${entry.about} (${what}.)`;
}

function inline(value: unknown): string {
  if (typeof value === 'string' && value.includes('${')) return JSON.stringify(value);
  return stringify(value, { collectionStyle: 'flow' }).trim();
}
