/**
 * Where Redis is, as one setting says it:
 *
 *   redis://[user:password@]host[:6379][/db]             one server; rediss:// with TLS
 *   redis://host-1:6379,redis://host-2:6379              Redis Cluster, any of its nodes
 *   redis://host:6379?cluster=true                       the same, by one name of it
 *   redis+sentinel://[user:password@]host-1[:26379],host-2/<name of the master>[/db]
 *
 * At the end, where needed: `?ca_file=<PEM>` (TLS: trust this authority alone), and
 * `?sentinel_auth=true` (the Sentinels ask for the same user and password). `rediss+sentinel://`
 * is TLS to both. No text that leaves this file holds a user or a password.
 */

export type RedisAddress = { readonly host: string; readonly port: number };

export type RedisTarget = {
  readonly kind: 'server' | 'cluster' | 'sentinel';
  /** One server; the nodes of a Cluster; or the Sentinels. */
  readonly addresses: readonly [RedisAddress, ...RedisAddress[]];
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** 0 in a Cluster, which has no others. */
  readonly db: number;
  readonly tls: boolean;
  /** Of the master; '' without Sentinel. */
  readonly masterName: string;
  readonly caFile: string | undefined;
  /** The Sentinels ask for user and password, too. */
  readonly sentinelAuth: boolean;
};

const schemes = /^(rediss?)(\+sentinel)?:\/\//;
const percent = 'write :, /, @, #, ? and commas in user and password as %3A, %2F, %40, …';
const parameters: readonly string[] = ['ca_file', 'cluster', 'sentinel_auth'];

/** What is wrong with the text, in words that never show what stands in it; or undefined. */
export function checkRedisUrl(text: string): string | undefined {
  const parsed = parseRedisUrl(text);
  return typeof parsed === 'string' ? parsed : undefined;
}

/** A string says what is wrong. */
export function parseRedisUrl(text: string): RedisTarget | string {
  try {
    return parse(text);
  } catch {
    // A % that no two digits follow, or that leads to no text.
    return `mend a % in user, password or name of the master; ${percent}`;
  }
}

function parse(text: string): RedisTarget | string {
  // URLs are read past line breaks and tabs, and would then be others than those that are seen.
  if (/\p{Cc}/u.test(text)) return 'write it on one line';
  const scheme = schemes.exec(text);
  if (scheme === null) {
    return 'begin with redis://, rediss:// (TLS), redis+sentinel:// or rediss+sentinel://';
  }
  const parsed = scheme[2] === undefined ? parseServers(text) : parseSentinels(text, scheme[0]);
  if (typeof parsed === 'string' || parsed.tls || parsed.caFile === undefined) return parsed;
  return 'begin with rediss:// (TLS), or leave ca_file out';
}

function parseServers(text: string): RedisTarget | string {
  const urls = text.split(',').map((part) => parseUrl(part.trim()));
  const wrong = urls.find((url) => typeof url === 'string');
  if (wrong !== undefined) return wrong;
  const [first, ...others] = urls as [Url, ...Url[]];
  if (others.some((url) => accountOf(url) !== accountOf(first))) {
    return 'give every node of the Cluster the same scheme, user and password';
  }
  const cluster = others.length > 0 || first.query.get('cluster') === 'true';
  const db = parseDb(first.path);
  if (db === undefined) return 'end with the number of the database (/0) or with nothing';
  if (cluster && db !== 0) return 'leave the database out: Redis Cluster has only number 0';
  return {
    ...accountAndTrust(others.at(-1) ?? first),
    kind: cluster ? 'cluster' : 'server',
    addresses: [first.address(6379), ...others.map((url) => url.address(6379))],
    db,
    masterName: '',
    sentinelAuth: false,
  };
}

/** Hosts with commas between are no URL, so the first stands in for all while one is parsed. */
function parseSentinels(text: string, scheme: string): RedisTarget | string {
  const [, account = '', hosts = '', rest = ''] =
    /^([^/?]*@)?([^/?@]*)(.*)$/.exec(text.slice(scheme.length)) ?? [];
  const urls = hosts.split(',').map((host) => parseUrl(`${scheme}${account}${host.trim()}${rest}`));
  const wrong = urls.find((url) => typeof url === 'string');
  if (wrong !== undefined) return wrong;
  const [first, ...others] = urls as [Url, ...Url[]];
  const [, masterName = '', dbPath = ''] = /^\/([^/]+)(\/.*)?$/.exec(first.path) ?? [];
  if (masterName === '') return 'name the master after the Sentinels: …:26379/<name of the master>';
  const db = parseDb(dbPath);
  if (db === undefined) return 'end with the number of the database (/0) or with nothing';
  return {
    ...accountAndTrust(first),
    kind: 'sentinel',
    addresses: [first.address(26_379), ...others.map((url) => url.address(26_379))],
    db,
    masterName: decodeURIComponent(masterName),
    sentinelAuth: first.query.get('sentinel_auth') === 'true',
  };
}

type Url = {
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly path: string;
  readonly query: URLSearchParams;
  address(defaultPort: number): RedisAddress;
};

function parseUrl(text: string): Url | string {
  const url = URL.parse(text);
  if (url === null || !schemes.test(text) || url.hostname === '') {
    return `give each server as redis://host:port; ${percent}`;
  }
  const unknown = [...url.searchParams.keys()].some((name) => !parameters.includes(name));
  if (unknown || url.hash !== '')
    return `use no parameters but ${parameters.join(', ')}; ${percent}`;
  const { hostname, port } = url;
  return {
    tls: text.startsWith('rediss'),
    username: decodeURIComponent(url.username) || undefined,
    password: decodeURIComponent(url.password) || undefined,
    path: url.pathname,
    query: url.searchParams,
    address: (defaultPort) => ({
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? defaultPort : Number(port),
    }),
  };
}

function accountAndTrust(url: Url): Pick<RedisTarget, 'username' | 'password' | 'tls' | 'caFile'> {
  const { tls, username, password } = url;
  return { tls, username, password, caFile: url.query.get('ca_file') ?? undefined };
}

function accountOf(url: Url): string {
  return `${url.tls} ${url.username}:${url.password}`;
}

function parseDb(path: string): number | undefined {
  if (path === '' || path === '/') return 0;
  return /^\/\d{1,6}$/.test(path) ? Number(path.slice(1)) : undefined;
}
