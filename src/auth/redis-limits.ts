/**
 * The strict buckets of keys in Redis: a hash `<prefix>limits:{<key id>}` with the time at which
 * each of its limits will be full again, in microseconds of Redis' own clock, so that the clocks of
 * the gateways do not matter. Where that clock was set back, what it said before is moved along:
 * a key would be in debt for as long. What is full is as good as absent: the hash lives as long as
 * it is not. The rule is that of `limits-bucket.ts`.
 */
import type { Leased, LimitStore } from './limits-lease.ts';
import type { RedisConnection } from './redis-connection.ts';
import { createRedisScript } from './redis-script.ts';

/**
 * KEYS: the hash. ARGV, four for each limit: its name, its rate per second, what is needed (empty:
 * not in question), and what is wished on top. A second is the most that a bucket holds; less than
 * a microsecond's worth is nothing.
 *
 * Answers whether the needs were met, and for each limit what there was of the wish, and the
 * microseconds until it is full. Extras come from what is left, never from debt.
 */
const lease = createRedisScript(`
local second = 1000000
local time = redis.call('TIME')
local now = time[1] * second + time[2]
local names = {}
for at = 1, #ARGV, 4 do names[#names + 1] = ARGV[at] end
local function numberOf(text)
  local number = tonumber(text or 0) or 0
  if number >= 0 and number < 2 ^ 53 then return number end
  return 0
end
local kept = redis.call('HMGET', KEYS[1], 'at', unpack(names))
local setBack = math.max(0, numberOf(kept[1]) - now)
local full, granted = {}, 1
for i = 1, #names do
  full[i] = math.max(now, numberOf(kept[i + 1]) - setBack)
  if ARGV[4 * i - 1] ~= '' and full[i] - now > second - 1 then granted = 0 end
end
local answer, fields, last = { granted }, {}, now
for i = 1, #names do
  local perSecond = tonumber(ARGV[4 * i - 2])
  local extra = 0
  if granted == 1 then
    full[i] = full[i] + (tonumber(ARGV[4 * i - 1]) or 0) * second / perSecond
    local left = math.floor((second - (full[i] - now)) * perSecond / second)
    extra = math.max(0, math.min(tonumber(ARGV[4 * i]), left))
    full[i] = full[i] + extra * second / perSecond
  end
  fields[2 * i - 1], fields[2 * i] = names[i], string.format('%.0f', full[i])
  answer[2 * i], answer[2 * i + 1] = extra, string.format('%.0f', full[i] - now)
  last = math.max(last, full[i])
end
if granted == 1 and last > now then
  redis.call('HSET', KEYS[1], 'at', string.format('%.0f', now), unpack(fields))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((last - now) / 1000)))
end
return answer
`);

/** Answers undefined while Redis is down; each gateway then has the limits for itself. */
export function createRedisLimits(redis: RedisConnection): LimitStore {
  return {
    async lease(keyId, wants) {
      const args = wants.flatMap(({ limit, need, extra }) => [
        limit.name,
        limit.perSecond,
        need ?? '',
        extra,
      ]);
      // Braces: in a Cluster the id alone decides where it is.
      const name = `${redis.keyPrefix}limits:{${keyId}}`;
      const answer = await redis.ask((client) => lease(client, name, args));
      return answer === undefined ? undefined : leasedOf(answer as readonly (number | string)[]);
    },
  };
}

function leasedOf([granted, ...each]: readonly (number | string)[]): Leased {
  const even = (_: unknown, index: number) => index % 2 === 0;
  const odd = (_: unknown, index: number) => index % 2 === 1;
  return {
    granted: granted === 1,
    extras: each.filter(even).map(Number),
    fullInMs: each.filter(odd).map((micros) => Number(micros) / 1000),
  };
}
