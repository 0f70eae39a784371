/** The audit and the state of a gateway through the admin API. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { exampleStatus, startAdmin } from './admin-under-test.ts';

describe('the audit', () => {
  test('has every change, newest first, in pages, in the words of the records', async () => {
    const { ok } = await startAdmin();
    const { id: projectId } = await ok('POST', '/projects', { name: 'shop' });
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    const key = await ok('POST', '/projects/shop/api-keys', { name: 'k', expires_at });
    await ok('PATCH', `/projects/shop/api-keys/${key.id}`, { name: 'n' });
    const first = await ok('GET', '/audit?limit=2');
    const rest = await ok('GET', `/audit?limit=2&cursor=${first.next_cursor}`);
    expect([first.items, rest.items]).toMatchObject([
      [{ action: 'key.rename' }, { action: 'key.create' }],
      [{ action: 'project.add' }],
    ]);
    expect(rest.next_cursor).toBeUndefined();
    const [renamed, created] = first.items as { details: Record<string, unknown> }[];
    expect(created).toEqual({
      version: expect.any(Number),
      at: key.created_at,
      by: 'api:127.0.0.1',
      action: 'key.create',
      project_id: projectId,
      subject_id: key.id,
      details: { name: 'k', masked_key: key.masked_key, scope: 'all', agents: [], expires_at },
    });
    expect(renamed?.details).toMatchObject({ name: 'n', name_before: 'k' });
  });

  test('is filtered by project and by subject', async () => {
    const { call, ok } = await startAdmin();
    const { id: shop } = await ok('POST', '/projects', { name: 'shop' });
    await ok('POST', '/projects', { name: 'other' });
    const id = randomUUID();
    await ok('POST', '/projects/shop/agents', { id, name: 'Bot' });
    const actions = async (query: string) =>
      ((await ok('GET', `/audit?${query}`)).items as { action: string }[]).map((it) => it.action);
    expect(await actions('project=shop')).toEqual(['agent.add', 'project.add']);
    expect(await actions(`project=${shop}`)).toEqual(['agent.add', 'project.add']);
    expect(await actions(`subject=${id}`)).toEqual(['agent.add']);
    expect(await actions(`project=other&subject=${id}`)).toEqual([]);
    expect(await actions('subject=unknown')).toEqual([]);
    expect(await actions('subject=%00')).toEqual([]);
    expect((await call('GET', '/audit?project=unknown')).status).toBe(404);
    expect((await call('GET', '/audit?project=%00')).status).toBe(404);
    expect((await call('GET', '/audit?subject=a&subject=b')).status).toBe(400);
  });
});

test('the status is what the gateway says', async () => {
  const { ok } = await startAdmin({ status: async () => ({ ...exampleStatus, redis: 'down' }) });
  expect(await ok('GET', '/status')).toEqual({ ...exampleStatus, redis: 'down' });
});
