/** A command line that can be pasted: what was given, and what is to change about it. */

/** An option as it is written: `['--set', 'delivery.mode=sync']`. */
export type GivenOption = readonly [flag: string, value: string];

export type CommandLine = {
  /** How it starts: `mibo-gateway start`. */
  readonly command: string;
  readonly given: readonly GivenOption[];
};

/** Given options that an added one replaces are left out. Secrets are not repeated. */
export function formatCommandLine(
  { command, given }: CommandLine,
  added: readonly GivenOption[],
): string {
  const replaced = new Set(added.map(subjectOf));
  const options = [...given.filter((option) => !replaced.has(subjectOf(option))), ...added];
  return [
    command,
    ...options.flatMap(([flag, value]) => [flag, shellWord(hideSecret(value))]),
  ].join(' ');
}

function subjectOf([flag, value]: GivenOption): string {
  return flag === '--set' ? value.slice(0, value.indexOf('=')) : flag;
}

/** Of headers for the next hop, and of users in URLs. */
function hideSecret(value: string): string {
  return value
    .replace(/^(downstream\.headers[^=]*=).*/s, '$1<secret>')
    .replace(/\/\/[^/@]*@/, '//<secret>@');
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
