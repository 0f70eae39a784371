/**
 * A Lua script that is sent by its digest, and whole where a server does not know it: a new one,
 * one that was started again or whose scripts were flushed. One key, so that a Cluster can run it.
 */
import { hash } from 'node:crypto';
import type { RedisClient } from './redis-client.ts';

export type RedisScript = (
  client: RedisClient,
  key: string,
  args: readonly (string | number)[],
) => Promise<unknown>;

export function createRedisScript(lua: string): RedisScript {
  const digest = hash('sha1', lua);
  return async (client, key, args) => {
    try {
      return await client.evalsha(digest, 1, key, ...args);
    } catch (fault) {
      if (!(fault instanceof Error && fault.message.startsWith('NOSCRIPT'))) throw fault;
      return client.eval(lua, 1, key, ...args);
    }
  };
}
