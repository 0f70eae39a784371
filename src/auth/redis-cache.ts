/**
 * The shared cache in Redis: `<prefix>key:<sha-256>` and `<prefix>agents:<project id>`, each a
 * record or a tombstone (redis-record.ts), and the channel `<prefix>changes`.
 *
 * Promise: a record never takes the place of a newer one, nor of a tombstone that is newer than
 * what it was read from. A record ends a fixed time after it was stored, however often it is read.
 * Only what is known to exist is ever written, so that nobody fills Redis by asking.
 */
import type { RedisConnection } from './redis-connection.ts';
import { decodeAgents, decodeKey, encodeAgents, encodeKey } from './redis-record.ts';
import { createRedisScript } from './redis-script.ts';
import type { SharedCache } from './shared-cache.ts';

export type RedisCacheOptions = {
  readonly redis: RedisConnection;
  /** How long a record is kept. */
  readonly ttlMs: number;
};

/**
 * KEYS: the name. ARGV: what to store (its version in front), for how many milliseconds.
 *
 * A tombstone of version 17 says that the name changed in 17; a record that is right as of 17
 * knows that change, so it may stand in its place. What is no text of ours counts as nothing.
 */
const storeIfNewer = createRedisScript(`
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'string' then
  local theirs = tonumber(string.match(there, '^(%d+)$') or string.match(there, '^(%d+) '))
  local ours = tonumber(string.match(ARGV[1], '^%d+'))
  local tombstone = not string.find(there, ' ', 1, true)
  if theirs and (theirs > ours or theirs == ours and not tombstone) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`);

/**
 * Longer than a fill can be on its way: a read of the store, the deadline of Redis and what waits
 * in a connection before it is replaced are seconds together.
 */
const tombstoneTtlMinMs = 60_000;
/** What fits into the deadline. Names beyond it do without: versions tell, tombstones only help. */
const tombstonesMax = 500;

export function createRedisCache(options: RedisCacheOptions): SharedCache {
  const { redis, ttlMs } = options;
  const { keyPrefix } = redis;
  const channel = `${keyPrefix}changes`;
  const tombstoneTtlMs = Math.max(2 * ttlMs, tombstoneTtlMinMs);
  const keyName = (hash: string): string => `${keyPrefix}key:${hash}`;
  const agentsName = (projectId: string): string => `${keyPrefix}agents:${projectId}`;

  async function fill(name: string, record: string): Promise<void> {
    await redis.ask((client) => storeIfNewer(client, name, [record, ttlMs]));
  }

  return {
    async readKey(hash) {
      return decodeKey(await redis.ask((client) => client.get(keyName(hash))));
    },
    async readAgents(projectId) {
      return decodeAgents(await redis.ask((client) => client.get(agentsName(projectId))));
    },
    fillKey: (hash, key) => fill(keyName(hash), encodeKey(key)),
    fillAgents: (projectId, agents) => fill(agentsName(projectId), encodeAgents(agents)),
    async announce({ version, keys, projects }) {
      const names = [...keys.map(keyName), ...projects.map(agentsName)].slice(0, tombstonesMax);
      // Written in one go, as a pipeline would be; but a pipeline may not span a Cluster's nodes.
      await redis.ask((client) =>
        Promise.all([
          ...names.map((name) => storeIfNewer(client, name, [version, tombstoneTtlMs])),
          client.publish(channel, String(version)),
        ]),
      );
    },
    onAnnouncement(run) {
      redis.subscribe(channel, run);
    },
  };
}
