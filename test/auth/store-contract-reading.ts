/** What every kind of store tells of what was done. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Store } from '../../src/auth/auth.ts';
import {
  by,
  hourMs,
  type OpenStore,
  refuses,
  withAgents,
  withProject,
} from './store-under-test.ts';

export function readingContract(open: OpenStore): void {
  describe('lists', () => {
    test('lists are per project or of all, oldest first, in pages', async () => {
      const { store, project } = await withProject(open);
      const other = await store.projects.add({ name: 'other', by });
      for (const name of ['one', 'two', 'three']) {
        await store.keys.create({ projectId: project.id, name, by });
      }
      await store.keys.create({ projectId: other.id, name: 'foreign', by });
      const names = async (query: Parameters<Store['keys']['list']>[0]) => {
        const { items, nextCursor } = await store.keys.list(query);
        return [items.map(({ name }) => name).join(' '), nextCursor] as const;
      };
      const [first, cursor] = await names({ projectId: project.id, limit: 2 });
      expect(first).toBe('one two');
      expect(await names({ projectId: project.id, cursor: cursor ?? '' })).toEqual([
        'three',
        undefined,
      ]);
      expect((await names({}))[0]).toBe('one two three foreign');
    });
  });

  describe('audit and usage', () => {
    test('each change is one audit row, in order; refused ones are none', async () => {
      const { store, projectId, a, b } = await withAgents(open);
      const { record } = await store.keys.create({ projectId, name: 'k', by });
      await store.keys.rename(record.id, { name: 'n', by });
      await store.keys.setScope(record.id, { agents: [b], by });
      await refuses(store.keys.setScope(record.id, { agents: [randomUUID()], by }), 'invalid');
      const next = await store.keys.rotate(record.id, { graceMs: 0, by });
      await store.keys.revoke(next.record.id, { by });
      await store.agents.remove({ projectId, id: a, by });
      const { items } = await store.audit.list({ projectId });
      expect(items.map(({ action }) => action).reverse()).toEqual([
        'project.add',
        'agent.add',
        'agent.add',
        'key.create',
        'key.rename',
        'key.scope',
        'key.rotate',
        'key.revoke',
        'agent.remove',
      ]);
      const versions = items.map(({ version }) => version);
      expect(versions).toEqual([...versions].sort((x, y) => y - x));
      const page = await store.audit.list({ limit: 2 });
      const rest = await store.audit.list({ cursor: page.nextCursor ?? '' });
      expect([...page.items, ...rest.items]).toEqual((await store.audit.list()).items);
    });

    test('last used only moves forward, makes no version, and ignores unknown keys', async () => {
      const { store, project } = await withProject(open);
      const { record } = await store.keys.create({ projectId: project.id, name: 'k', by });
      const [before] = (await store.audit.list()).items;
      await store.recordUsage(new Map([[record.id, 120_000]]));
      await store.recordUsage(
        new Map([
          [record.id, 60_000],
          ['key_unknown', 60_000],
        ]),
      );
      expect((await store.keys.get(record.id)).lastUsedAtMs).toBe(120_000);
      expect((await store.audit.list()).items[0]).toEqual(before);
    });

    test('last used never lies in the future, whatever clock once said so', async () => {
      const { store, project, sql } = await withProject(open);
      const { record } = await store.keys.create({ projectId: project.id, name: 'k', by });
      const lastUsed = async () => (await store.keys.get(record.id)).lastUsedAtMs;
      const aheadMs = Date.UTC(2100);
      await store.recordUsage(new Map([[record.id, aheadMs]]));
      expect(await lastUsed()).toBeLessThan(aheadMs - 365 * 24 * hourMs);
      await sql(`UPDATE api_key_usage SET last_used_at_ms = ${aheadMs}`);
      await store.recordUsage(new Map([[record.id, 120_000]]));
      expect(await lastUsed()).toBe(120_000);
    });

    test('the audit is told per project and per subject', async () => {
      const { store, projectId, a } = await withAgents(open);
      const other = await store.projects.add({ name: 'other', by });
      const { record } = await store.keys.create({ projectId, name: 'k', by, agents: [a] });
      await store.keys.create({ projectId: other.id, name: 'foreign', by });
      await store.agents.remove({ projectId, id: a, by: 'test:bob' });
      const of = async (query: Parameters<Store['audit']['list']>[0]) =>
        (await store.audit.list(query)).items.map(({ action }) => action);
      expect(await of({ projectId: other.id })).toEqual(['key.create', 'project.add']);
      expect(await of({ subjectId: record.id })).toEqual(['key.create']);
      expect(await of({ subjectId: a, projectId })).toEqual(['agent.remove', 'agent.add']);
      expect(await of({ subjectId: a, projectId: other.id })).toEqual([]);
      expect((await store.audit.list({ subjectId: a })).items[0]).toMatchObject({
        by: 'test:bob',
        details: { name: 'Support bot', keys: [record.id] },
      });
    });

    test('last used is kept of many keys at once, and of no revoked one', async () => {
      const { store, project } = await withProject(open);
      const ids: string[] = [];
      for (let index = 0; index < 20; index += 1) {
        const name = `k${index}`;
        const { record } = await store.keys.create({ projectId: project.id, name, by });
        ids.push(record.id);
      }
      const [gone = '', ...kept] = ids;
      await store.keys.revoke(gone, { by });
      const minutes = ids.map((id, index) => [id, 60_000 * (index + 1)] as const);
      await Promise.all([
        store.recordUsage(new Map(minutes)),
        store.recordUsage(new Map([...minutes].reverse())),
        store.recordUsage(new Map()),
      ]);
      const { items } = await store.keys.list();
      expect(items.map(({ id, lastUsedAtMs }) => [id, lastUsedAtMs])).toEqual(
        minutes.filter(([id]) => kept.includes(id)),
      );
    });

    test('a closed store answers store_unavailable, and closes twice', async () => {
      const { store } = await open();
      await store.close();
      await store.close();
      await expect((async () => store.lookup('00'))()).rejects.toMatchObject({
        kind: 'store_unavailable',
      });
      await expect(store.projects.add({ name: 'x', by })).rejects.toMatchObject({
        kind: 'store_unavailable',
      });
    });
  });
}
