/** What every kind of store keeps. Each kind runs this on its real engine. */
import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Grant, Project, RegistryErrorCode, Store } from '../../src/auth/auth.ts';
import { hashKey } from '../../src/auth/key-format.ts';
import type { ManualClock } from './manual-clock.ts';

export type OpenedStore = { readonly store: Store; readonly clock: ManualClock };

const by = 'test:ada';
const hourMs = 3_600_000;

/** `open` makes a fresh, empty store; it is closed by who made it. */
export function storeContract(open: () => Promise<OpenedStore>): void {
  async function withProject(): Promise<OpenedStore & { readonly project: Project }> {
    const opened = await open();
    return { ...opened, project: await opened.store.projects.add({ name: 'shop', by }) };
  }

  async function withAgents() {
    const opened = await withProject();
    const [a, b] = [randomUUID(), randomUUID()];
    const projectId = opened.project.id;
    await opened.store.agents.add({ projectId, id: a, name: 'Support bot', by });
    await opened.store.agents.add({ projectId, id: b, name: 'Sales bot', by });
    return { ...opened, projectId, a, b };
  }

  describe('projects and agents', () => {
    test('a project is found by its id and by its name', async () => {
      const { store, project } = await withProject();
      expect(await store.projects.find(project.id)).toEqual(project);
      expect(await store.projects.find('shop')).toEqual(project);
      await refuses(store.projects.find('other'), 'not_found');
    });

    test('a project name is taken once, and never looks like an id', async () => {
      const { store } = await withProject();
      await refuses(store.projects.add({ name: ' shop ', by }), 'conflict');
      await refuses(store.projects.add({ name: 'prj_x', by }), 'invalid');
      await refuses(store.projects.add({ name: '  ', by }), 'invalid');
    });

    test('an agent id is stored in lower case and belongs to one project only', async () => {
      const { store, project } = await withProject();
      const other = await store.projects.add({ name: 'other', by });
      const id = randomUUID();
      const agent = { projectId: project.id, id: id.toUpperCase(), name: 'Bot', by };
      expect((await store.agents.add(agent)).id).toBe(id);
      await refuses(store.agents.add(agent), 'conflict');
      await refuses(store.agents.add({ ...agent, projectId: other.id }), 'conflict');
      expect((await store.agents.list({ projectId: project.id })).items).toMatchObject([
        { id, name: 'Bot', projectId: project.id },
      ]);
    });

    test('an agent id that is no UUID is refused', async () => {
      const { store, project } = await withProject();
      const agent = { projectId: project.id, name: 'Bot', by };
      for (const id of ['', '42', `urn:uuid:${randomUUID()}`, `"${randomUUID()}"`]) {
        await refuses(store.agents.add({ ...agent, id }), 'invalid');
      }
    });

    test('an agent is removed only from its own project', async () => {
      const { store, a, projectId } = await withAgents();
      const other = await store.projects.add({ name: 'other', by });
      await refuses(store.agents.remove({ projectId: other.id, id: a, by }), 'not_found');
      await store.agents.remove({ projectId, id: a, by });
      await refuses(store.agents.remove({ projectId, id: a, by }), 'not_found');
    });

    test('pages follow one another without a gap', async () => {
      const { store, projectId } = await withAgents();
      const first = await store.agents.list({ projectId, limit: 1 });
      const cursor = first.nextCursor ?? '';
      const second = await store.agents.list({ projectId, limit: 1, cursor });
      expect([...first.items, ...second.items].map(({ name }) => name)).toEqual([
        'Support bot',
        'Sales bot',
      ]);
      expect(second.nextCursor).toBeUndefined();
      await refuses(store.agents.list({ projectId, limit: 0 }), 'invalid');
      await refuses(store.agents.list({ projectId, cursor: 'x' }), 'invalid');
    });
  });

  describe('keys', () => {
    test('a key works right after it was made, even if it was probed before', async () => {
      const { store, project } = await withProject();
      const key = 'mibo_0123456789abcdef';
      expect(await lookup(store, key)).toBeUndefined();
      await store.keys.importKey({ projectId: project.id, name: 'old one', key, by });
      expect((await lookup(store, key))?.tenant.projectId).toBe(project.id);
    });

    test('the record shows only the last four characters of the secret', async () => {
      const { store, project, clock } = await withProject();
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
      const { store, projectId, a, b } = await withAgents();
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
      const { store, projectId, a } = await withAgents();
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
      const { store, projectId, a, b } = await withAgents();
      const { key, record } = await store.keys.create({ projectId, name: 'k', by, agents: [a] });
      expect((await lookup(store, key))?.tenant).toMatchObject({ scope: 'agents' });
      await store.keys.setScope(record.id, { agents: [b], by });
      expect([...((await lookup(store, key))?.tenant.agents.keys() ?? [])]).toEqual([b]);
      const all = await store.keys.setScope(record.id, { agents: 'all', by });
      expect(all).toMatchObject({ scope: 'all', agents: [] });
      expect((await lookup(store, key))?.tenant.scope).toBe('project');
    });

    test('a name and a scope are changed together, or neither is', async () => {
      const { store, projectId, a, b } = await withAgents();
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
      const { store, projectId, a, b } = await withAgents();
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
      const { store, project } = await withProject();
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
      const { store, projectId, a, clock } = await withAgents();
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

    test('a grace never makes the old key live longer', async () => {
      const { store, project, clock } = await withProject();
      const expiresAtMs = clock.wallMs() + 1_000;
      const wanted = { projectId: project.id, name: 'k', by, expiresAtMs };
      const { record } = await store.keys.create(wanted);
      await store.keys.rotate(record.id, { graceMs: hourMs, by });
      expect((await store.keys.get(record.id)).expiresAtMs).toBe(expiresAtMs);
    });

    test('a key is renamed', async () => {
      const { store, project } = await withProject();
      const { key, record } = await store.keys.create({ projectId: project.id, name: 'k', by });
      expect((await store.keys.rename(record.id, { name: ' New ', by })).name).toBe('New');
      expect((await lookup(store, key))?.tenant.keyName).toBe('New');
      await refuses(store.keys.rename(record.id, { name: '', by }), 'invalid');
      await refuses(store.keys.rename('key_x', { name: 'n', by }), 'not_found');
    });

    test('a name has up to 100 characters of any script, all of them whole', async () => {
      const { store, project } = await withProject();
      const name = '🦊'.repeat(100);
      const { record } = await store.keys.create({ projectId: project.id, name, by });
      expect((await store.keys.get(record.id)).name).toBe(name);
      for (const wrong of [`${name}!`, 'half a \ud83e fox']) {
        await refuses(store.keys.rename(record.id, { name: wrong, by }), 'invalid');
      }
    });

    test('an imported key has the shape of a key and is taken once', async () => {
      const { store, project } = await withProject();
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
      const { store, project, clock } = await withProject();
      const wanted = { projectId: project.id, name: 'k', by };
      await refuses(store.keys.create({ ...wanted, projectId: 'prj_none' }), 'not_found');
      await refuses(store.keys.create({ ...wanted, name: 'a\nb' }), 'invalid');
      await refuses(store.keys.create({ ...wanted, expiresAtMs: clock.wallMs() }), 'invalid');
      await refuses(store.keys.create({ ...wanted, expiresAtMs: Number.NaN }), 'invalid');
    });

    test('an expiry is at most 100 years away, so that its date can be shown', async () => {
      const { store, project, clock } = await withProject();
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
      const { store, project } = await withProject();
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

    test('lists are per project or of all, oldest first, in pages', async () => {
      const { store, project } = await withProject();
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
      const { store, projectId, a, b } = await withAgents();
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
      const { store, project } = await withProject();
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

async function lookup(store: Store, key: string): Promise<Grant | undefined> {
  return store.lookup(hashKey(key));
}

/** Resolves with the message of the refusal. */
async function refuses(change: Promise<unknown>, code: RegistryErrorCode): Promise<string> {
  const error: unknown = await change.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: 'RegistryError', code });
  return (error as Error).message;
}
