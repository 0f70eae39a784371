/** An admin API on a real store in a folder of its own, and a client for it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect } from 'vitest';
import { type AdminOptions, type AdminStatus, createAdmin } from '../../src/admin/admin.ts';
import type { Store } from '../../src/auth/auth.ts';
import { openSqliteStore } from '../../src/auth/sqlite-store.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createObservability, type Observability } from '../../src/observability/observability.ts';
import { type HttpAnswer, http } from '../harness/http-client.ts';

export const token = 'admin-token-of-the-tests';

export const exampleStatus: AdminStatus = {
  version: '0.1.0',
  started_at: '2026-11-24T12:00:00.000Z',
  uptime_seconds: 1.5,
  auth: { mode: 'keys', store: 'sqlite' },
  key_cache: null,
  redis: null,
  delivery: { mode: 'sync' },
  queue: null,
  in_flight: { bytes: 0, bytes_max: 1 },
  requests: { ok: 0, partial: 0, refused: 0 },
  spans: { accepted: 0, rejected: 0, delivered: 0, dropped: 0 },
};

export type Answer = HttpAnswer & { readonly json: Record<string, unknown> };

export type AdminUnderTest = {
  readonly port: number;
  readonly store: Store;
  readonly observability: Observability;
  /** Every line of the log so far. */
  readonly logged: () => string;
  /** With the token, if the admin API has one; `path` begins after `/admin/v1`. */
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  /** The JSON of a call that works. */
  ok(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
};

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

let openEmpty = async (): Promise<Store> => {
  const folder = mkdtempSync(join(tmpdir(), 'mibo-admin-'));
  closers.push(() => rmSync(folder, { recursive: true }));
  return openSqliteStore({ path: join(folder, 'keys.db'), clock: systemClock });
};

/** From here on in this file of tests: another kind of store, empty each time. */
export function useStore(open: () => Promise<Store>): void {
  openEmpty = open;
}

export async function openStore(): Promise<Store> {
  const store = await openEmpty();
  closers.push(() => store.close());
  return store;
}

export async function startAdmin(given: Partial<AdminOptions> = {}): Promise<AdminUnderTest> {
  const lines: string[] = [];
  const observability = createObservability({
    level: 'trace',
    destination: { write: (line) => lines.push(line) },
  });
  const store = await openStore();
  const options = {
    endpoint: { host: '127.0.0.1', port: 0 },
    token,
    store,
    rejections: observability.rejections,
    status: () => exampleStatus,
    log: observability.log,
    clock: systemClock,
    ...given,
  };
  const admin = createAdmin(options);
  const { adminPort: port } = await admin.start();
  closers.push(() => admin.stop(10_000));
  const authorization = options.token === '' ? [] : ['Authorization', `Bearer ${options.token}`];

  const call: AdminUnderTest['call'] = async (method, path, body) => {
    const type = body === undefined ? [] : ['Content-Type', 'application/json'];
    const answer = await http({
      port,
      method,
      path: `/admin/v1${path}`,
      headers: [...authorization, ...type],
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = answer.body.toString();
    return { ...answer, json: text === '' ? {} : JSON.parse(text) };
  };
  const ok: AdminUnderTest['ok'] = async (method, path, body) => {
    const answer = await call(method, path, body);
    expect(answer.status, answer.body.toString()).toBeLessThan(300);
    return answer.json;
  };
  return { port, store, observability, logged: () => lines.join(''), call, ok };
}
