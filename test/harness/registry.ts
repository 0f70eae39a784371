/** Projects, agents and keys, made through the real command line. */
import type { Ran } from './command.ts';
import type { Workspace } from './gateway-process.ts';

export type MadeKey = { readonly id: string; readonly key: string };

export type Registry = {
  project(name: string): Promise<{ readonly id: string; readonly name: string }>;
  agent(project: string, agent: { readonly id: string; readonly name: string }): Promise<void>;
  removeAgent(project: string, id: string): Promise<void>;
  key(project: string, key: KeyWanted): Promise<MadeKey>;
  revoke(id: string): Promise<void>;
};

export type KeyWanted = {
  readonly name: string;
  /** Left out: unrestricted. */
  readonly agents?: readonly string[];
  readonly expires?: string;
  /** An existing key to take over; left out, a new one is made. */
  readonly existing?: string;
};

export function registryOf(workspace: Pick<Workspace, 'command'>): Registry {
  const done = async (args: readonly string[], stdin?: string): Promise<Ran> => {
    const ran = await workspace.command(args, stdin);
    if (ran.code !== 0) throw new Error(`${args.join(' ')}: ${ran.code}\n${ran.stderr}`);
    return ran;
  };
  return {
    async project(name) {
      const { stdout } = await done(['projects', 'add', name, '--json']);
      return { id: (JSON.parse(stdout) as { id: string }).id, name };
    },
    async agent(project, { id, name }) {
      await done(['agents', 'add', id, '--project', project, '--name', name]);
    },
    async removeAgent(project, id) {
      await done(['agents', 'remove', id, '--project', project]);
    },
    async key(project, wanted) {
      const verb = wanted.existing === undefined ? 'create' : 'import';
      const args = ['keys', verb, '--project', project, '--name', wanted.name, '--json'];
      for (const agent of wanted.agents ?? []) args.push('--agent', agent);
      if (wanted.expires !== undefined) args.push('--expires', wanted.expires);
      const { stdout } = await done(args, wanted.existing);
      const made = JSON.parse(stdout) as { id: string; key?: string };
      return { id: made.id, key: wanted.existing ?? (made.key as string) };
    },
    async revoke(id) {
      await done(['keys', 'revoke', id]);
    },
  };
}
