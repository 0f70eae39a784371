/** API keys through the admin API. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { hashKey } from '../../src/auth/key-format.ts';
import { type AdminUnderTest, startAdmin } from './admin-under-test.ts';

const keys = '/projects/shop/api-keys';
const hourMs = 3_600_000;

/** A project `shop` with two agents, and a project `other`. */
async function withShop() {
  const admin = await startAdmin();
  const { id: projectId } = await admin.ok('POST', '/projects', { name: 'shop' });
  await admin.ok('POST', '/projects', { name: 'other' });
  const [a, b] = [randomUUID(), randomUUID()];
  for (const id of [a, b]) await admin.ok('POST', '/projects/shop/agents', { id, name: 'Bot' });
  return { ...admin, projectId, a, b };
}

async function works({ store }: AdminUnderTest, key: unknown): Promise<boolean> {
  return (await store.lookup(hashKey(key as string))) !== undefined;
}

describe('a new key', () => {
  test('is answered once with its secret, and works', async () => {
    const admin = await withShop();
    const { call, projectId, a } = admin;
    const expiresAt = new Date(Date.now() + hourMs).toISOString();
    const wanted = { name: 'Production', agents: [a], expires_at: expiresAt };
    const created = await call('POST', keys, wanted);
    expect(created.status).toBe(201);
    const { key, ...record } = created.json as { key: string } & Record<string, unknown>;
    expect(key).toMatch(/^mibo_[A-Za-z0-9]{38}$/);
    expect(record).toEqual({
      id: expect.stringMatching(/^key_[A-Za-z0-9]{16}$/),
      project_id: projectId,
      name: 'Production',
      masked_key: `mibo_...${key.slice(-4)}`,
      scope: 'agents',
      agents: [a],
      status: 'active',
      created_at: expect.any(String),
      created_by: 'api:127.0.0.1',
      last_used_at: null,
      expires_at: expiresAt,
      rotated_from: null,
    });
    const path = `/admin/v1/projects/${projectId}/api-keys/${record.id}`;
    expect(created.headers.location).toBe(path);
    expect(await admin.ok('GET', `${keys}/${record.id}`)).toEqual(record);
    expect(await works(admin, key)).toBe(true);
  });

  test('reaches all agents and never expires, said in any of the ways', async () => {
    const { ok } = await withShop();
    for (const how of [{}, { agents: 'all' }, { expires_at: null }]) {
      const made = await ok('POST', keys, { name: 'k', ...how });
      expect(made).toMatchObject({ scope: 'all', agents: [], expires_at: null });
    }
  });

  test('may be one that exists elsewhere, whose secret is not repeated', async () => {
    const admin = await withShop();
    const key = 'mibo_0123456789abcdef';
    const imported = await admin.call('POST', keys, { name: 'old', key });
    expect(imported.status).toBe(201);
    expect(imported.json).toMatchObject({ masked_key: 'mibo_...cdef', name: 'old' });
    expect(imported.body.toString()).not.toContain(key);
    expect(await works(admin, key)).toBe(true);
    const again = await admin.call('POST', keys, { name: 'old', key });
    expect(again.status).toBe(409);
    expect(again.body.toString()).not.toContain(key);
    expect((await admin.call('POST', keys, { name: 'old', key: 'sk-123' })).status).toBe(422);
  });

  test('is refused where a rule of the registry forbids it', async () => {
    const { call, ok, a } = await withShop();
    const foreign = randomUUID();
    await ok('POST', '/projects/other/agents', { id: foreign, name: 'Foreign' });
    for (const wrong of [
      { agents: [foreign] },
      { agents: [a, randomUUID()] },
      { expires_at: '2020-01-01T00:00:00Z' },
      { expires_at: '9999-01-01T00:00:00Z' },
      { name: 'mibo_0123456789abcdef' },
    ]) {
      const refused = await call('POST', keys, { name: 'k', ...wrong });
      expect(refused.status, JSON.stringify(wrong)).toBe(422);
      expect(refused.json.detail).toBeTypeOf('string');
    }
    expect((await ok('GET', keys)).items).toEqual([]);
  });

  test('made at once with others is one of its own', async () => {
    const admin = await withShop();
    const wanted = { name: 'same' };
    const made = await Promise.all(Array.from({ length: 5 }, () => admin.ok('POST', keys, wanted)));
    expect(new Set(made.map(({ id }) => id)).size).toBe(5);
    for (const { key } of made) expect(await works(admin, key)).toBe(true);
  });
});

describe('keys', () => {
  test('are listed in pages, without those of other projects', async () => {
    const { ok } = await withShop();
    for (const name of ['a', 'b', 'c']) await ok('POST', keys, { name });
    await ok('POST', '/projects/other/api-keys', { name: 'foreign' });
    const first = await ok('GET', `${keys}?limit=2`);
    const rest = await ok('GET', `${keys}?limit=2&cursor=${first.next_cursor}`);
    const items = [...(first.items as object[]), ...(rest.items as object[])];
    expect(items).toMatchObject([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
    for (const item of items) expect(item).not.toHaveProperty('key');
  });

  test('are found in their own project only', async () => {
    const { call, ok } = await withShop();
    const { id } = await ok('POST', keys, { name: 'k' });
    const elsewhere = `/projects/other/api-keys/${id}`;
    expect((await call('GET', elsewhere)).status).toBe(404);
    expect((await call('GET', `${elsewhere}/rejections`)).status).toBe(404);
    expect((await call('PATCH', elsewhere, { name: 'x' })).status).toBe(404);
    expect((await call('POST', `${elsewhere}/rotate`, {})).status).toBe(404);
    expect((await call('DELETE', elsewhere)).status).toBe(404);
    expect((await ok('GET', `${keys}/${id}`)).name).toBe('k');
  });

  test('change name and scope together, or not at all', async () => {
    const { call, ok, a, b } = await withShop();
    const made = await ok('POST', keys, { name: 'k', agents: [a] });
    const path = `${keys}/${made.id}`;
    expect(await ok('PATCH', path, { name: 'New' })).toMatchObject({ name: 'New', agents: [a] });
    expect(await ok('PATCH', path, { agents: [b] })).toMatchObject({ name: 'New', agents: [b] });
    const both = await ok('PATCH', path, { name: 'Both', agents: 'all' });
    expect(both).toMatchObject({ name: 'Both', scope: 'all', agents: [] });
    expect(await ok('PATCH', path, {})).toEqual(both);
    for (const half of [
      { name: 'Other', agents: [randomUUID()] },
      { name: ' ', agents: [a] },
    ]) {
      expect((await call('PATCH', path, half)).status).toBe(422);
    }
    // A scope that is lost on the way must not become a wider one.
    expect((await call('PATCH', path, { agents: null })).status).toBe(400);
    expect((await call('PATCH', path, { agents: [] })).status).toBe(400);
    expect(await ok('GET', path)).toEqual(both);
  });

  test('are rotated: both work until the grace is over', async () => {
    const admin = await withShop();
    const { call, ok } = admin;
    const old = await ok('POST', keys, { name: 'k' });
    const before = Date.now();
    const next = await call('POST', `${keys}/${old.id}/rotate`, { grace: '1h30m' });
    expect(next.status).toBe(201);
    expect(next.json).toMatchObject({ name: 'k', rotated_from: old.id });
    expect(next.headers.location).toContain(next.json.id);
    expect([await works(admin, old.key), await works(admin, next.json.key)]).toEqual([true, true]);
    const ends = Date.parse((await ok('GET', `${keys}/${old.id}`)).expires_at as string);
    expect(ends - before).toBeGreaterThanOrEqual(1.5 * hourMs);
    expect(ends - Date.now()).toBeLessThanOrEqual(1.5 * hourMs);
    await ok('POST', `${keys}/${next.json.id}/rotate`, { grace: '0' });
    expect((await ok('GET', `${keys}/${next.json.id}`)).status).toBe('expired');
    const byDefault = await ok('POST', keys, { name: 'default' });
    await ok('POST', `${keys}/${byDefault.id}/rotate`, {});
    const later = Date.parse((await ok('GET', `${keys}/${byDefault.id}`)).expires_at as string);
    expect(later - before).toBeGreaterThanOrEqual(24 * hourMs);
    for (const [grace, status] of [
      ['soon', 400],
      ['-1h', 400],
      ['', 400],
      [24, 400],
      ['367d', 422],
      ['99999999999999999w', 422],
    ] as const) {
      const refused = await call('POST', `${keys}/${byDefault.id}/rotate`, { grace });
      expect(refused.status, String(grace)).toBe(status);
    }
  });

  test('are revoked for good, and the audit keeps them', async () => {
    const admin = await withShop();
    const { call, ok, projectId } = admin;
    const made = await ok('POST', keys, { name: 'k' });
    expect(await works(admin, made.key)).toBe(true);
    const path = `${keys}/${made.id}`;
    const revoked = await call('DELETE', path);
    expect(revoked.status).toBe(200);
    expect(revoked.json).toEqual({ effective: true, effective_after_ms: expect.any(Number) });
    expect(await works(admin, made.key)).toBe(false);
    expect((await ok('GET', keys)).items).toEqual([]);
    for (const method of ['GET', 'DELETE']) expect((await call(method, path)).status).toBe(404);
    expect((await call('POST', keys, { name: 'k', key: made.key })).status).toBe(409);
    const audit = await ok('GET', `/audit?subject=${made.id}`);
    expect(audit.items).toEqual([
      {
        version: expect.any(Number),
        at: expect.any(String),
        by: 'api:127.0.0.1',
        action: 'key.revoke',
        project_id: projectId,
        subject_id: made.id,
        details: expect.objectContaining({ name: 'k', masked_key: made.masked_key }),
      },
      expect.objectContaining({ action: 'key.create' }),
    ]);
  });

  test('show their secret nowhere but in the answer that made them', async () => {
    const { ok, call, logged } = await withShop();
    const made = await ok('POST', keys, { name: 'k' });
    const next = await ok('POST', `${keys}/${made.id}/rotate`, {});
    const imported = 'mibo_imported-0123456789';
    const { id } = await ok('POST', keys, { name: 'i', key: imported });
    await ok('PATCH', `${keys}/${id}`, { name: 'renamed' });
    const misplaced = [
      await call('GET', `/projects/${imported}`),
      await call('GET', `${keys}/${imported}`),
      await call('POST', '/projects', { [imported]: 1, name: 'x' }),
      await call('POST', '/projects', { name: imported }),
      await call('GET', `/audit?project=${imported}`),
    ];
    expect(misplaced.map(({ status }) => status)).toEqual([404, 404, 400, 422, 404]);
    const answers = [
      await ok('GET', keys),
      await ok('GET', `${keys}/${made.id}`),
      await ok('GET', '/audit'),
      await ok('DELETE', `${keys}/${made.id}`),
      ...misplaced.map(({ body }) => body.toString()),
    ];
    const seen = JSON.stringify(answers) + logged();
    for (const secret of [made.key, next.key, imported] as string[]) {
      expect(seen).not.toContain(secret.slice(0, 20));
    }
  });

  test('are changed with one line of the log each: who, what, which', async () => {
    const { ok, call, logged } = await withShop();
    const { id } = await ok('POST', keys, { name: 'k' });
    await ok('PATCH', `${keys}/${id}`, { name: 'n' });
    await ok('PATCH', `${keys}/${id}`, { name: 'm', agents: 'all' });
    await call('PATCH', `${keys}/${id}`, { name: '' });
    await ok('DELETE', `${keys}/${id}`);
    const lines = logged()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter((line) => line.subject_id === id);
    expect(lines).toMatchObject([
      { level: 'info', by: 'api:127.0.0.1', action: 'key.create' },
      { level: 'info', by: 'api:127.0.0.1', action: 'key.rename' },
      { level: 'info', by: 'api:127.0.0.1', action: 'key.rename' },
      { level: 'info', by: 'api:127.0.0.1', action: 'key.scope' },
      { level: 'info', by: 'api:127.0.0.1', action: 'key.revoke' },
    ]);
  });
});
