/** What every kind of store refuses. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { RegistryErrorCode } from '../../src/auth/auth.ts';
import { by, hourMs, type OpenStore, refuses, withProject } from './store-under-test.ts';

export function rulesContract(open: OpenStore): void {
  describe('rules of keys', () => {
    test('a name has up to 100 characters of any script, all of them whole', async () => {
      const { store, project } = await withProject(open);
      const name = '🦊'.repeat(100);
      const { record } = await store.keys.create({ projectId: project.id, name, by });
      expect((await store.keys.get(record.id)).name).toBe(name);
      for (const wrong of [`${name}!`, 'half a \ud83e fox']) {
        await refuses(store.keys.rename(record.id, { name: wrong, by }), 'invalid');
      }
    });

    test('an imported key has the shape of a key and is taken once', async () => {
      const { store, project } = await withProject(open);
      const wanted = { projectId: project.id, name: 'k', by };
      for (const key of ['mibo_short', 'sk-0123456789abcdef', 'mibo_0123456789abcde f', '']) {
        const message = await refuses(store.keys.importKey({ ...wanted, key }), 'invalid');
        if (key !== '') expect(message).not.toContain(key);
      }
      const key = `mibo_${'a-_9'.repeat(32)}`;
      expect((await store.keys.importKey({ ...wanted, key })).maskedKey).toBe('mibo_...a-_9');
      await refuses(store.keys.importKey({ ...wanted, key }), 'conflict');
    });

    test('a key needs a project, a name and an expiry that is not past', async () => {
      const { store, project, clock } = await withProject(open);
      const wanted = { projectId: project.id, name: 'k', by };
      await refuses(store.keys.create({ ...wanted, projectId: 'prj_none' }), 'not_found');
      await refuses(store.keys.create({ ...wanted, name: 'a\nb' }), 'invalid');
      await refuses(store.keys.create({ ...wanted, expiresAtMs: clock.wallMs() }), 'invalid');
      await refuses(store.keys.create({ ...wanted, expiresAtMs: Number.NaN }), 'invalid');
    });

    test('an expiry is at most 100 years away, so that its date can be shown', async () => {
      const { store, project, clock } = await withProject(open);
      const wanted = { projectId: project.id, name: 'k', by };
      const lastMs = clock.wallMs() + 36_525 * 24 * hourMs;
      for (const expiresAtMs of [lastMs + 1, Number.MAX_SAFE_INTEGER]) {
        await refuses(store.keys.create({ ...wanted, expiresAtMs }), 'invalid');
        const key = 'mibo_0123456789abcdef';
        await refuses(store.keys.importKey({ ...wanted, key, expiresAtMs }), 'invalid');
      }
      const { record } = await store.keys.create({ ...wanted, expiresAtMs: lastMs });
      expect(record.expiresAtMs).toBe(lastMs);
      const graceMs = 100_000_000 * 24 * hourMs;
      await refuses(store.keys.rotate(record.id, { graceMs, by }), 'invalid');
    });

    test('no name holds a key, and the refusal does not repeat it', async () => {
      const { store, project } = await withProject(open);
      const projectId = project.id;
      const { record } = await store.keys.create({ projectId, name: 'mibo_production', by });
      const secret = '0123456789abcdef';
      for (const name of [`mibo_${secret}`, `for MIBO_${secret}!`]) {
        const messages = [
          await refuses(store.projects.add({ name, by }), 'invalid'),
          await refuses(store.agents.add({ projectId, id: randomUUID(), name, by }), 'invalid'),
          await refuses(store.keys.create({ projectId, name, by }), 'invalid'),
          await refuses(store.keys.rename(record.id, { name, by }), 'invalid'),
        ];
        expect(messages.join()).not.toContain(secret);
      }
    });
  });

  describe('changes at the same time', () => {
    test('exactly one of those that exclude each other is made', async () => {
      const { store, project } = await withProject(open);
      const other = await store.projects.add({ name: 'other', by });
      const { record } = await store.keys.create({ projectId: project.id, name: 'k', by });
      const id = randomUUID();
      const key = 'mibo_0123456789abcdef';
      const projectIds = [project.id, other.id, project.id, other.id];
      const rivals: [RegistryErrorCode, (projectId: string) => Promise<unknown>][] = [
        ['conflict', () => store.projects.add({ name: 'new', by })],
        ['conflict', (projectId) => store.agents.add({ projectId, id, name: 'Bot', by })],
        ['conflict', (projectId) => store.keys.importKey({ projectId, name: 'i', key, by })],
        ['not_found', () => store.keys.revoke(record.id, { by })],
      ];
      for (const [code, change] of rivals) {
        const outcomes = await Promise.allSettled(projectIds.map(change));
        const refusals = outcomes.filter(({ status }) => status === 'rejected');
        expect(refusals).toHaveLength(projectIds.length - 1);
        for (const refusal of refusals) expect(refusal).toMatchObject({ reason: { code } });
      }
    });

    test('each change has a version of its own, in order', async () => {
      const { store } = await withProject(open);
      const names = Array.from({ length: 20 }, (_, index) => `p${index}`);
      await Promise.all(names.map((name) => store.projects.add({ name, by })));
      const versions = (await store.audit.list()).items.map(({ version }) => version);
      expect(versions).toHaveLength(21);
      expect(versions).toEqual([...new Set(versions)].sort((a, b) => b - a));
    });
  });

  describe('whatever text is asked for', () => {
    const odd = ['', '\0', 'prj_\0', "'; DROP TABLE projects; --", 'é€😀', '%', 'x'.repeat(5_000)];

    test.each(odd.map((text) => [text]))('%j is not found', async (text) => {
      const { store } = await withProject(open);
      await refuses(store.projects.find(text), 'not_found');
      await refuses(store.agents.list({ projectId: text }), 'not_found');
      await refuses(store.keys.get(text), 'not_found');
      await refuses(store.keys.revoke(text, { by }), 'not_found');
      await refuses(store.keys.create({ projectId: text, name: 'k', by }), 'not_found');
      expect((await store.keys.list({ projectId: text })).items).toEqual([]);
      expect((await store.audit.list({ subjectId: text })).items).toEqual([]);
      expect(await store.lookup(text)).toBeUndefined();
    });
  });
}
