/** gateway.yaml and the page of all settings, made from the schema so that they cannot drift. */
import { stringify } from 'yaml';
import { type Entry, entries, settingEntries } from './schema.ts';
import { unavailable, unavailableAt } from './unavailable.ts';

const commentColumn = 50;

const yamlHead = `\
# Every setting of the gateway with its default and its meaning. Keep only what you change.
# Made from src/config/, and a test holds the two equal; docs/configuration.md says more.
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

const pageHead = `\
# Configuration

<!-- Made from src/config/ by configurationPage(); a test holds the two equal. -->

The gateway reads YAML: \`--config FILE\` (repeatable, the later file wins), then \`--set
name=value\`. Without \`--config\` it reads \`./config/gateway.yaml\` where it exists and
over it the file that \`$MIBO_CONFIG\` names. \`config/gateway.yaml\` lists every setting
with its default, \`config/sidecar.yaml\` is a complete small example. \`mibo-gateway
validate\` tells all problems of a configuration at once; \`mibo-gateway print-config\`
shows what is in effect, with secrets masked.

- **Merging.** Sections are joined name by name; a list replaces a list; an empty value
  says nothing, so what stood there before stays. Unknown and doubled names are refused.
- **Environment.** \`\${env:NAME}\` and \`\${env:NAME:-default}\`, anywhere in a value; \`$$\` is
  a \`$\`. The default counts where the variable is not set; a variable that is set but
  empty gives empty text. Without a default an unset variable is refused. What a
  variable holds is taken as it is, never looked through for further references. As in
  the Collector a text setting takes it letter by letter (\`0123\` keeps its zero), any
  other setting reads it as YAML (\`256\` is a number). Within \`{ }\` and \`[ ]\` put the
  reference in quotes. The value of \`--set\` is read in the same way.
- **Durations** have a unit: \`500ms\`, \`5s\`, \`3m\`, \`24h\`, \`1h30m\`; only \`0\` may stand
  alone.
- **Endpoints** are \`host:port\`, \`"[::1]:4317"\`, or \`:4317\` for all IPv4 addresses; port
  0 picks a free one.
- **Sizes** are whole numbers of MiB (1,048,576 bytes).
- **Paths** of files and directories are relative to the working directory of the
  process, not to the file that they stand in.
`;

/** The text of docs/configuration.md. */
export function configurationPage(): string {
  const groups = Map.groupBy(settingEntries, ({ path }) => path[0] as string);
  const tables = [...groups].map(([name, group]) => {
    const about = entries.find(({ path }) => path.join('.') === name)?.about;
    const rows = group.map((entry) => pageRow(entry)).join('\n');
    return `\n## ${name}\n\n${about}\n\n${tableHead}\n${rows}\n`;
  });
  return `${pageHead}${tables.join('')}${unavailablePart()}`;
}

const tableHead = '| Setting | Default | May be | Meaning |\n|---|---|---|---|';

function pageRow(entry: (typeof settingEntries)[number]): string {
  const { preset, expected, about } = entry.setting;
  // Examples stand once, at the head of the page.
  const mayBe = expected.replace(/, such as .*/, '');
  return `| \`${entry.path.join('.')}\` | \`${inline(preset)}\` | ${mayBe} | ${about} |`;
}

function unavailablePart(): string {
  const rows = unavailable.map(({ path, values, instead }) => {
    const refused = values === undefined ? 'any but the default' : `\`${values.join('`, `')}\``;
    return `| \`${path}\` | ${refused} | ${instead} |`;
  });
  return `
## Not available yet

The settings of these features are known, and refused when they are switched on.

| Setting | Refused | Instead |
|---|---|---|
${rows.join('\n')}
`;
}
