/** What every kind of store keeps of keys, from their making to their end. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  by,
  hourMs,
  lookup,
  type OpenStore,
  refuses,
  withAgents,
  withProject,
} from './store-under-test.ts';

export function keysContract(open: OpenStore): void {
  describe('keys', () => {
    test('a key works right after it was made, even if it was probed before', async () => {
      const { store, project } = await withProject(open);
      const key = 'mibo_0123456789abcdef';
      expect(await lookup(store, key)).toBeUndefined();
      await store.keys.importKey({ projectId: project.id, name: 'old one', key, by });
      expect((await lookup(store, key))?.tenant.projectId).toBe(project.id);
    });

    test('the record shows only the last four characters of the secret', async () => {
      const { store, project, clock } = await withProject(open);
      const created = await store.keys.create({ projectId: project.id, name: 'Production', by });
      expect(created.record).toEqual({
        id: expect.stringMatching(/^key_[A-Za-z0-9]{16}$/),
        projectId: project.id,
        name: 'Production',
        maskedKey: `mibo_...${created.key.slice(-4)}`,
        scope: 'all',
        agents: [],
        status: 'active',
        createdAtMs: clock.wallMs(),
        createdBy: by,
        lastUsedAtMs: undefined,
        expiresAtMs: undefined,
        rotatedFrom: undefined,
      });
      const seen = [await store.keys.list(), await store.keys.get(created.record.id)];
      expect(JSON.stringify([seen, await store.audit.list()])).not.toContain(
        created.key.slice(0, 20),
      );
    });

    test('an unrestricted key reaches the agents of its project, later ones too', async () => {
      const { store, projectId, a, b } = await withAgents(open);
      const other = await store.projects.add({ name: 'other', by });
      await store.agents.add({ projectId: other.id, id: randomUUID(), name: 'Foreign', by });
      const { key } = await store.keys.create({ projectId, name: 'all', by });
      const before = await lookup(store, key);
      expect(before?.tenant.scope).toBe('project');
      expect([...(before?.tenant.agents ?? [])]).toEqual([
        [a, 'Support bot'],
        [b, 'Sales bot'],
      ]);
      const later = randomUUID();
      await store.agents.add({ projectId, id: later, name: 'Later', by });
      expect((await lookup(store, key))?.tenant.agents.get(later)).toBe('Later');
      await store.agents.remove({ projectId, id: a, by });
      expect((await lookup(store, key))?.tenant.agents.has(a)).toBe(false);
    });

    test('a scope names agents of the own project only, and at least one', async () => {
      const { store, projectId, a } = await withAgents(open);
      const other = await store.projects.add({ name: 'other', by });
      const foreign = randomUUID();
      await store.agents.add({ projectId: other.id, id: foreign, name: 'Foreign', by });
      const wanted = { projectId, name: 'k', by };
      for (const agents of [[foreign], [a, foreign], [randomUUID()], ['x'], []]) {
        await refuses(store.keys.create({ ...wanted, agents }), 'invalid');
      }
      expect((await store.keys.list()).items).toEqual([]);
      const { record } = await store.keys.create({ ...wanted, agents: [a.toUpperCase(), a] });
      expect(record.agents).toEqual([a]);
      await refuses(store.keys.setScope(record.id, { agents: [foreign], by }), 'invalid');
      await refuses(store.keys.setScope(record.id, { agents: [], by }), 'invalid');
      expect((await store.keys.get(record.id)).agents).toEqual([a]);
    });

    test('a scope is changed for the next request', async () => {
      const { store, projectId, a, b } = await withAgents(open);
      const { key, record } = await store.keys.create({ projectId, name: 'k', by, agents: [a] });
      expect((await lookup(store, key))?.tenant).toMatchObject({ scope: 'agents' });
      await store.keys.setScope(record.id, { agents: [b], by });
      expect([...((await lookup(store, key))?.tenant.agents.keys() ?? [])]).toEqual([b]);
      const all = await store.keys.setScope(record.id, { agents: 'all', by });
      expect(all).toMatchObject({ scope: 'all', agents: [] });
      expect((await lookup(store, key))?.tenant.scope).toBe('project');
    });

    test('a name and a scope are changed together, or neither is', async () => {
      const { store, projectId, a, b } = await withAgents(open);
      const { record } = await store.keys.create({ projectId, name: 'k', by, agents: [a] });
      const changed = await store.keys.setScope(record.id, { name: ' New ', agents: [b], by });
      expect(changed).toMatchObject({ name: 'New', agents: [b] });
      const foreign = { name: 'Other', agents: [randomUUID()], by };
      await refuses(store.keys.setScope(record.id, foreign), 'invalid');
      await refuses(store.keys.setScope(record.id, { name: '', agents: [a], by }), 'invalid');
      expect(await store.keys.get(record.id)).toEqual(changed);
      const { items } = await store.audit.list({ subjectId: record.id });
      expect(items.map(({ action }) => action)).toEqual(['key.scope', 'key.rename', 'key.create']);
    });

    test('a key that loses its agents reaches fewer, then none, and never more', async () => {
      const { store, projectId, a, b } = await withAgents(open);
      const { key, record } = await store.keys.create({
        projectId,
        name: 'k',
        by,
        agents: [a, b],
      });
      await store.agents.remove({ projectId, id: a, by });
      expect([...((await lookup(store, key))?.tenant.agents.keys() ?? [])]).toEqual([b]);
      await store.agents.remove({ projectId, id: b, by });
      const tenant = (await lookup(store, key))?.tenant;
      expect(tenant).toMatchObject({ scope: 'agents' });
      expect(tenant?.agents.size).toBe(0);
      expect(await store.keys.get(record.id)).toMatchObject({ scope: 'agents', agents: [] });
      // The same id registered once more is not what the key was scoped to.
      await store.agents.add({ projectId, id: b, name: 'Again', by });
      expect((await lookup(store, key))?.tenant.agents.size).toBe(0);
    });

    test('a revoked key is gone at once and for good; the audit keeps it', async () => {
      const { store, project } = await withProject(open);
      const { key, record } = await store.keys.create({ projectId: project.id, name: 'k', by });
      expect(await lookup(store, key)).toBeDefined();
      const revoked = await store.keys.revoke(record.id, { by });
      expect(revoked).toEqual({ effective: true, effectiveAfterMs: expect.any(Number) });
      expect(await lookup(store, key)).toBeUndefined();
      expect((await store.keys.list()).items).toEqual([]);
      await refuses(store.keys.get(record.id), 'not_found');
      await refuses(store.keys.revoke(record.id, { by }), 'not_found');
      await refuses(store.keys.rotate(record.id, { graceMs: 0, by }), 'not_found');
      const again = { projectId: project.id, name: 'again', key, by };
      await refuses(store.keys.importKey(again), 'conflict');
      const [newest] = (await store.audit.list({ subjectId: record.id })).items;
      expect(newest).toMatchObject({
        action: 'key.revoke',
        by,
        details: { name: 'k', maskedKey: record.maskedKey },
      });
    });

    test('a rotated key works beside the new one until the grace is over', async () => {
      const { store, projectId, a, clock } = await withAgents(open);
      const expiresAtMs = clock.wallMs() + 10 * hourMs;
      const old = await store.keys.create({ projectId, name: 'k', by, agents: [a], expiresAtMs });
      clock.advance(4 * hourMs);
      const next = await store.keys.rotate(old.record.id, { graceMs: hourMs, by });
      expect(next.record).toMatchObject({
        name: 'k',
        scope: 'agents',
        agents: [a],
        rotatedFrom: old.record.id,
        expiresAtMs: clock.wallMs() + 10 * hourMs,
      });
      expect((await lookup(store, old.key))?.expiresAtMs).toBe(clock.wallMs() + hourMs);
      expect((await lookup(store, next.key))?.tenant.keyId).toBe(next.record.id);
      clock.advance(hourMs);
      expect((await store.keys.get(old.record.id)).status).toBe('expired');
      await refuses(store.keys.rotate(old.record.id, { graceMs: -1, by }), 'invalid');
    });

    test('a key rotated without grace has ended by every clock, and for good', async () => {
      const { store, project, clock } = await withProject(open);
      const old = await store.keys.create({ projectId: project.id, name: 'k', by });
      clock.advance(hourMs);
      const endedAtMs = clock.wallMs();
      await store.keys.rotate(old.record.id, { graceMs: 0, by });
      const ended = { status: 'expired', expiresAtMs: endedAtMs };
      expect(await store.keys.get(old.record.id)).toMatchObject(ended);
      // Not even a machine whose clock was never set has a time before that.
      expect((await lookup(store, old.key))?.expiresAtMs).toBeLessThan(0);
      clock.advance(hourMs);
      await store.keys.rotate(old.record.id, { graceMs: hourMs, by });
      expect(await store.keys.get(old.record.id)).toMatchObject(ended);
      expect((await lookup(store, old.key))?.expiresAtMs).toBeLessThan(0);
      const { items } = await store.audit.list({ subjectId: old.record.id });
      expect(items.map(({ action }) => action)).toEqual(['key.create']);
      const rotations = (await store.audit.list()).items.filter(
        ({ action }) => action === 'key.rotate',
      );
      expect(rotations.map(({ details }) => details.oldExpiresAtMs)).toEqual([
        endedAtMs,
        endedAtMs,
      ]);
    });

    test('a rotated key whose agents were all removed still reaches none', async () => {
      const { store, projectId, a } = await withAgents(open);
      const { record } = await store.keys.create({ projectId, name: 'k', by, agents: [a] });
      await store.agents.remove({ projectId, id: a, by });
      const next = await store.keys.rotate(record.id, { graceMs: 0, by });
      expect(next.record).toMatchObject({ scope: 'agents', agents: [] });
      const tenant = (await lookup(store, next.key))?.tenant;
      expect(tenant).toMatchObject({ scope: 'agents' });
      expect(tenant?.agents.size).toBe(0);
    });

    test('a grace never makes the old key live longer', async () => {
      const { store, project, clock } = await withProject(open);
      const expiresAtMs = clock.wallMs() + 1_000;
      const wanted = { projectId: project.id, name: 'k', by, expiresAtMs };
      const { record } = await store.keys.create(wanted);
      await store.keys.rotate(record.id, { graceMs: hourMs, by });
      expect((await store.keys.get(record.id)).expiresAtMs).toBe(expiresAtMs);
    });

    test('a key is renamed', async () => {
      const { store, project } = await withProject(open);
      const { key, record } = await store.keys.create({ projectId: project.id, name: 'k', by });
      expect((await store.keys.rename(record.id, { name: ' New ', by })).name).toBe('New');
      expect((await lookup(store, key))?.tenant.keyName).toBe('New');
      await refuses(store.keys.rename(record.id, { name: '', by }), 'invalid');
      await refuses(store.keys.rename('key_x', { name: 'n', by }), 'not_found');
    });
  });
}
