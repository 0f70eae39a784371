import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Auth, createAuth, type Store } from '../../src/auth/auth.ts';
import { generateKey } from '../../src/auth/key-format.ts';
import { openSqliteStore } from '../../src/auth/sqlite-store.ts';
import { GatewayError } from '../../src/core/errors.ts';
import type { Tenant } from '../../src/core/tenant.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';

const by = 'test:ada';
let folder: string;
let clock: ManualClock;
let store: Store;
let auth: Auth;
let logged: string[];
let projectId: string;

function authOn(kept: Pick<Store, 'lookup' | 'recordUsage' | 'close'>): Auth {
  const observability = createObservability({
    level: 'info',
    destination: { write: (line) => logged.push(line) },
  });
  return createAuth({
    lookup: kept.lookup,
    store: kept,
    clock,
    observability,
    apiKeyHeader: 'x-api-key',
    unknownKeyFailuresPerMinute: 0,
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mibo-auth-'));
  clock = createManualClock();
  store = openSqliteStore({ path: join(folder, 'keys.db'), clock });
  logged = [];
  auth = authOn(store);
  projectId = (await store.projects.add({ name: 'shop', by })).id;
});

afterEach(async () => {
  await auth.close(1_000);
  rmSync(folder, { recursive: true });
});

const create = (expiresAtMs?: number) =>
  store.keys.create({
    projectId,
    name: 'k',
    by,
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  });

const peer = '192.0.2.1';

const authenticate = (key: string, on = auth) =>
  on.authenticate({ apiKey: [key], authorization: [] }, peer);

/** The tenant, at once where the lookup is. */
function send(key: string, on = auth): Tenant | Promise<Tenant> {
  const found = authenticate(key, on);
  return found instanceof Promise ? found.then(({ tenant }) => tenant) : found.tenant;
}

async function refusal(key: string, on = auth): Promise<GatewayError> {
  try {
    await send(key, on);
  } catch (error) {
    return error as GatewayError;
  }
  throw new Error('the key was accepted');
}

describe('a request', () => {
  test('with a key gets its tenant, without waiting', async () => {
    const { key, record } = await create();
    expect(send(key)).toMatchObject({ projectId, keyId: record.id, keyName: 'k' });
    const bearer = { apiKey: [], authorization: [`Bearer ${key}`] };
    expect(auth.authenticate(bearer, peer)).toMatchObject({ tenant: send(key) });
  });

  test('with an unknown and with a revoked key gets the same answer', async () => {
    const { key, record } = await create();
    await store.keys.revoke(record.id, { by });
    const [revoked, unknown] = [await refusal(key), await refusal(generateKey())];
    expect(revoked.kind).toBe('invalid_api_key');
    expect(revoked.message).toBe(unknown.message);
  });

  test('with a key that was mistyped is told to copy it again', async () => {
    const { key } = await create();
    const mistyped = `${key.slice(0, 10)}${key[10] === 'x' ? 'y' : 'x'}${key.slice(11)}`;
    expect((await refusal(mistyped)).hint).toMatch(/^copy the API key again/);
  });

  test('with an imported key that happens to look like one of ours is served', async () => {
    const key = `mibo_${'7'.repeat(38)}`;
    await store.keys.importKey({ projectId, name: 'i', key, by });
    expect(send(key)).toMatchObject({ keyName: 'i' });
  });

  test('with an expired key is refused from the moment on, and told so', async () => {
    const { key, record } = await create(clock.wallMs() + 1_000);
    clock.advance(999);
    expect(send(key)).toMatchObject({ keyId: record.id });
    clock.advance(1);
    const error = await refusal(key);
    expect(error).toMatchObject({ kind: 'invalid_api_key', keyId: record.id });
    expect(error.hint).toContain('expired at 2026-11-24T12:00:01.000Z');
  });

  test('with a rotated key is served until the grace is over', async () => {
    const old = await create();
    const next = await store.keys.rotate(old.record.id, { graceMs: 60_000, by });
    expect([send(old.key), send(next.key)]).toMatchObject([{ projectId }, { projectId }]);
    clock.advance(60_000);
    expect((await refusal(old.key)).kind).toBe('invalid_api_key');
    expect(send(next.key)).toMatchObject({ keyId: next.record.id });
  });

  test('never has its key in the refusal', async () => {
    const { key, record } = await create(clock.wallMs() + 1);
    clock.advance(1);
    const expired = await refusal(key);
    await store.keys.revoke(record.id, { by });
    for (const error of [expired, await refusal(key)]) {
      expect(`${error.message} ${error.stack} ${JSON.stringify(error)}`).not.toContain(
        key.slice(5, 15),
      );
    }
  });
});

describe('the second check of a request', () => {
  test('takes the key as it is by then: revoked, expired, or scoped anew', async () => {
    const { key, record } = await create(clock.wallMs() + 1_000);
    const agent = 'a1b2c3d4-0000-4000-8000-000000000001';
    await store.agents.add({ projectId, id: agent, name: 'a', by });
    const { again } = await authenticate(key);
    expect(again()).toBe(send(key));
    await store.keys.setScope(record.id, { agents: [agent], by });
    expect(again()).toMatchObject({ scope: 'agents', agents: new Map([[agent, 'a']]) });
    clock.advance(1_000);
    expect(again).toThrow(/expired/);
    await store.keys.revoke(record.id, { by });
    expect(again).toThrow(/revoked \[INVALID_API_KEY\]/);
  });

  test('waits for a store that answers later, and tells its faults apart', async () => {
    const { key, record } = await create();
    let lookup: Store['lookup'] = async (hash) => store.lookup(hash);
    const slow = authOn({ ...store, lookup: (hash) => lookup(hash) });
    const { again } = await authenticate(key, slow);
    expect(await again()).toMatchObject({ keyId: record.id });
    lookup = () => Promise.reject(new Error('connection reset'));
    await expect(again()).rejects.toMatchObject({ kind: 'store_unavailable' });
  });
});

describe('a store in trouble', () => {
  const fault = Object.assign(new Error('disk I/O error'), { code: 'ERR_SQLITE_ERROR' });
  const failing: readonly [string, Store['lookup']][] = [
    [
      'that throws',
      () => {
        throw fault;
      },
    ],
    ['that rejects', () => Promise.reject(fault)],
  ];
  test.each(failing)('%s is never a refused key, and is logged seldom', async (_, lookup) => {
    const broken = authOn({ ...store, lookup });
    for (let count = 0; count < 50; count += 1) {
      expect(await refusal(generateKey(), broken)).toMatchObject({
        kind: 'store_unavailable',
        cause: fault,
      });
    }
    expect(logged).toHaveLength(1);
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({
      cause: { message: 'disk I/O error', code: 'ERR_SQLITE_ERROR' },
    });
    // Places in this program say nothing to who runs it.
    expect(logged[0]).not.toContain('stack');
    clock.advance(10_000);
    await refusal(generateKey(), broken);
    expect(logged).toHaveLength(2);
  });

  test('what a lookup refuses by itself is passed on, and is no fault to be logged', async () => {
    for (const kind of ['overloaded', 'rate_limited'] as const) {
      const refused = new GatewayError(kind, 'come again');
      const busy = authOn({ ...store, lookup: () => Promise.reject(refused) });
      expect(await refusal(generateKey(), busy)).toBe(refused);
    }
    expect(logged).toEqual([]);
  });

  test('a store that answers later is waited for', async () => {
    const { key, record } = await create();
    const slow = authOn({ ...store, lookup: async (hash) => store.lookup(hash) });
    const answer = send(key, slow);
    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toMatchObject({ keyId: record.id });
    expect((await refusal(generateKey(), slow)).kind).toBe('invalid_api_key');
  });
});

describe('last used', () => {
  /** Counts the writes that reach the store, and can make them fail. */
  function counting(options: { fails: boolean } = { fails: false }) {
    const writes: ReadonlyMap<string, number>[] = [];
    const counted = authOn({
      ...store,
      async recordUsage(batch) {
        writes.push(batch);
        if (options.fails) throw new Error('locked');
        await store.recordUsage(batch);
      },
    });
    return { writes, counted, options };
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  test('100,000 requests of one key within a minute are one write', async () => {
    const { key, record } = await create();
    const { writes, counted } = counting();
    for (let count = 0; count < 100_000; count += 1) {
      counted.used((send(key, counted) as { keyId: string }).keyId);
      if (count % 2_000 !== 0) continue;
      clock.advance(1_000);
      await settled();
    }
    expect(writes).toHaveLength(1);
    await counted.close(1_000);
    expect(writes).toHaveLength(1);
    expect(writes[0]?.get(record.id)).toBe(clock.wallMs() - (clock.wallMs() % 60_000));
  });

  test('the first use is written within 2 s, later ones within 30 s, to the minute', async () => {
    const { record } = await create();
    const { writes, counted } = counting();
    clock.advance(90_000);
    counted.used(record.id);
    clock.advance(1_999);
    await settled();
    expect(writes).toHaveLength(0);
    clock.advance(1);
    await settled();
    expect((await store.keys.get(record.id)).lastUsedAtMs).toBe(Date.UTC(2026, 10, 24, 12, 1));
    clock.advance(60_000);
    counted.used(record.id);
    clock.advance(29_999);
    await settled();
    expect(writes).toHaveLength(1);
    clock.advance(1);
    await settled();
    expect((await store.keys.get(record.id)).lastUsedAtMs).toBe(Date.UTC(2026, 10, 24, 12, 2));
  });

  test('many keys are one write, in the order of their ids', async () => {
    const { writes, counted } = counting();
    for (const id of ['key_c', 'key_a', 'key_b']) counted.used(id);
    clock.advance(2_000);
    await settled();
    expect(writes.map((batch) => [...batch.keys()])).toEqual([['key_a', 'key_b', 'key_c']]);
  });

  test('a write that failed is made up for', async () => {
    const { record } = await create();
    const { writes, counted, options } = counting({ fails: true });
    counted.used(record.id);
    clock.advance(2_000);
    await settled();
    options.fails = false;
    clock.advance(30_000);
    await settled();
    expect(writes).toHaveLength(2);
    expect((await store.keys.get(record.id)).lastUsedAtMs).toBe(Date.UTC(2026, 10, 24, 12));
    expect(logged).toHaveLength(1);
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({ cause: { message: 'locked' }, keys: 1 });
  });

  test('a store that hangs holds up a close for no longer than it is given', async () => {
    const closed: string[] = [];
    const never = () => new Promise<void>(() => {});
    const hanging = authOn({
      ...store,
      recordUsage: never,
      close() {
        closed.push('the store');
        return never();
      },
    });
    hanging.used('key_a');
    const done = hanging.close(2_000);
    await settled();
    expect(closed).toEqual([]);
    clock.advance(2_000);
    await done;
    expect(closed).toEqual(['the store']);
  });

  test('what is left is written on close', async () => {
    const { record } = await create();
    auth.used(record.id);
    await auth.close(1_000);
    store = openSqliteStore({ path: join(folder, 'keys.db'), clock });
    auth = authOn(store);
    expect((await store.keys.get(record.id)).lastUsedAtMs).toBe(Date.UTC(2026, 10, 24, 12));
  });
});
