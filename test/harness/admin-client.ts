/** The admin API as an operator's script uses it. */
import { http } from './http-client.ts';
import type { MadeKey } from './registry.ts';

export type AdminClient = {
  /** The answer of a call that has to work. */
  call(method: string, path: string, body?: object): Promise<Record<string, unknown>>;
  createKey(project: string, key: KeyToMake): Promise<MadeKey>;
  /** Resolves once the answer is in: no gateway accepts the key any more. */
  revoke(project: string, id: string): Promise<void>;
};

export type KeyToMake = {
  readonly name: string;
  readonly agents?: readonly string[];
  readonly expires_at?: string;
};

export type AdminAt = { readonly port: number; readonly token: string };

export function adminClient({ port, token }: AdminAt): AdminClient {
  const call: AdminClient['call'] = async (method, path, body) => {
    const answer = await http({
      port,
      method,
      path: `/admin/v1${path}`,
      headers: [
        ...['Authorization', `Bearer ${token}`],
        ...(body === undefined ? [] : ['Content-Type', 'application/json']),
      ],
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = answer.body.toString();
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  };
  return {
    call,
    async createKey(project, key) {
      const path = `/projects/${encodeURIComponent(project)}/api-keys`;
      const made = await call('POST', path, key);
      return { id: made.id as string, key: made.key as string };
    },
    async revoke(project, id) {
      const path = `/projects/${encodeURIComponent(project)}/api-keys/${id}`;
      const revoked = await call('DELETE', path);
      if (revoked.effective !== true) throw new Error(`${path}: ${JSON.stringify(revoked)}`);
    },
  };
}
