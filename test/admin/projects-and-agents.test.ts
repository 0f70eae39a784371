/** Projects and agents through the admin API. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { startAdmin } from './admin-under-test.ts';

describe('projects', () => {
  test('are added, found by id and by name, and listed', async () => {
    const { call, ok } = await startAdmin();
    const added = await call('POST', '/projects', { name: 'Acme shop/eu' });
    expect(added.status).toBe(201);
    expect(added.json).toEqual({
      id: expect.stringMatching(/^prj_[A-Za-z0-9]{16}$/),
      name: 'Acme shop/eu',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    });
    expect(added.headers.location).toBe(`/admin/v1/projects/${added.json.id}`);
    expect(await ok('GET', `/projects/${added.json.id}`)).toEqual(added.json);
    expect(await ok('GET', `/projects/${encodeURIComponent('Acme shop/eu')}`)).toEqual(added.json);
    expect(await ok('GET', '/projects')).toEqual({ items: [added.json] });
  });

  test('come in pages that follow one another', async () => {
    const { ok } = await startAdmin();
    const names = ['one', 'two', 'three', 'four', 'five'];
    for (const name of names) await ok('POST', '/projects', { name });
    const seen: unknown[] = [];
    const sizes: number[] = [];
    let cursor: unknown;
    do {
      const query = cursor === undefined ? '' : `&cursor=${cursor}`;
      const page = await ok('GET', `/projects?limit=2${query}`);
      const items = page.items as { name: string }[];
      seen.push(...items.map(({ name }) => name));
      sizes.push(items.length);
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(names);
    expect(sizes).toEqual([2, 2, 1]);
  });

  test('a name that is taken is a conflict, one that breaks a rule is unprocessable', async () => {
    const { call, ok } = await startAdmin();
    await ok('POST', '/projects', { name: 'shop' });
    expect(await call('POST', '/projects', { name: 'shop' })).toMatchObject({
      status: 409,
      json: {
        type: 'about:blank',
        title: 'Conflict',
        status: 409,
        detail: 'choose another name: there is a project "shop" already',
      },
    });
    for (const name of ['', '  ', 'a\nb', 'prj_x', 'x'.repeat(101), '\ud800']) {
      expect((await call('POST', '/projects', { name })).status).toBe(422);
    }
  });

  test('one that is not there is not found, whatever the path holds', async () => {
    const { call } = await startAdmin();
    for (const path of ['/projects/none', '/projects/%00', '/projects/%zz', '/projects/a%2Fb']) {
      expect((await call('GET', path)).status).toBe(404);
      expect((await call('POST', `${path}/agents`, { id: randomUUID(), name: 'x' })).status).toBe(
        404,
      );
    }
  });

  test('two that are added at once with one name are one project', async () => {
    const { call, ok } = await startAdmin();
    const adds = Array.from({ length: 8 }, () => call('POST', '/projects', { name: 'shop' }));
    const statuses = (await Promise.all(adds)).map(({ status }) => status).sort();
    expect(statuses).toEqual([201, ...Array.from({ length: 7 }, () => 409)]);
    expect((await ok('GET', '/projects')).items).toHaveLength(1);
  });
});

describe('agents', () => {
  test('are added by their own id, listed and removed', async () => {
    const { call, ok } = await startAdmin();
    const { id: projectId } = await ok('POST', '/projects', { name: 'shop' });
    const id = randomUUID();
    const added = await call('POST', '/projects/shop/agents', {
      id: id.toUpperCase(),
      name: 'Support bot',
    });
    expect(added.status).toBe(201);
    expect(added.headers.location).toBe(`/admin/v1/projects/${projectId}/agents/${id}`);
    expect(added.json).toEqual({
      id,
      project_id: projectId,
      name: 'Support bot',
      created_at: expect.any(String),
    });
    expect(await ok('GET', '/projects/shop/agents')).toEqual({ items: [added.json] });
    expect((await call('POST', '/projects/shop/agents', { id, name: 'Again' })).status).toBe(409);

    const removed = await call('DELETE', `/projects/shop/agents/${id.toUpperCase()}`);
    expect([removed.status, removed.body.length]).toEqual([204, 0]);
    expect(await ok('GET', '/projects/shop/agents')).toEqual({ items: [] });
    expect((await call('DELETE', `/projects/shop/agents/${id}`)).status).toBe(404);
    expect((await call('DELETE', '/projects/shop/agents/no-uuid')).status).toBe(422);
  });

  test('are removed from their own project only', async () => {
    const { call, ok } = await startAdmin();
    await ok('POST', '/projects', { name: 'shop' });
    await ok('POST', '/projects', { name: 'other' });
    const id = randomUUID();
    await ok('POST', '/projects/shop/agents', { id, name: 'Bot' });
    expect((await call('DELETE', `/projects/other/agents/${id}`)).status).toBe(404);
    expect((await ok('GET', '/projects/shop/agents')).items).toHaveLength(1);
  });

  test('come in pages', async () => {
    const { ok } = await startAdmin();
    await ok('POST', '/projects', { name: 'shop' });
    for (const name of ['a', 'b', 'c']) {
      await ok('POST', '/projects/shop/agents', { id: randomUUID(), name });
    }
    const first = await ok('GET', '/projects/shop/agents?limit=2');
    const rest = await ok('GET', `/projects/shop/agents?limit=2&cursor=${first.next_cursor}`);
    expect([first.items, rest.items]).toMatchObject([
      [{ name: 'a' }, { name: 'b' }],
      [{ name: 'c' }],
    ]);
    expect(rest.next_cursor).toBeUndefined();
  });
});
