/**
 * Several gateways on one PostgreSQL and one Redis, as in production: each a process of its own,
 * each link to a server through a fault proxy of its own. All deliver to one sink.
 */
import { type AdminClient, adminClient } from './admin-client.ts';
import type { Ran } from './command.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { createWorkspace, type GatewayProcess, type Workspace } from './gateway-process.ts';
import { countStatements } from './key-reads.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { type RedisServer, startRedis } from './redis.ts';
import { type Registry, registryOf } from './registry.ts';
import { type Sink, startSink } from './sink.ts';

/** The ways of one process to the servers. */
export type Links = { readonly toPostgres: FaultProxy; readonly toRedis: FaultProxy };

export type Member = Links & {
  /** `gateway 1`, … */
  readonly name: string;
  readonly process: GatewayProcess;
  readonly admin: AdminClient;
};

/** Who uses the command line, on a machine of their own. */
export type Operator = Links & {
  readonly registry: Registry;
  /** `sets` are `a.b=c`, over the settings of the cluster. */
  command(args: readonly string[], ...sets: readonly string[]): Promise<Ran>;
};

export type Cluster = {
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  readonly sink: Sink;
  /** Of the database, without a proxy between. */
  readonly databaseUrl: string;
  /** The folder of all gateways and commands. */
  readonly folder: string;
  readonly operator: Operator;
  /** Those that were started first. */
  readonly members: readonly Member[];
  /** One gateway more. */
  join(joining?: Joining): Promise<Member>;
  /** Ends every fault of a link or a server. */
  heal(): Promise<void>;
  close(): Promise<void>;
};

export type Joining = {
  readonly sets?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
};

export type ClusterOptions = Joining & {
  /** How many gateways; 3 if left out. */
  readonly gateways?: number;
  /** Whether PostgreSQL counts statements; see `key-reads.ts`. */
  readonly countsStatements?: boolean;
};

export const adminToken = 'admin-token-0123456789abcdef';

const settings = [
  'auth.store.kind=postgres',
  'admin.endpoint=127.0.0.1:0',
  `admin.token=${adminToken}`,
  // All requests come from one address, and most of what is refused is meant to be.
  'limits.unknown_key_failures_per_minute_per_ip=0',
];

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const [postgres, redis, sink] = await Promise.all([startPostgres(), startRedis(), startSink()]);
  if (options.countsStatements === true) await countStatements(postgres);
  const databaseUrl = await postgres.freshDatabase();
  const workspace = createWorkspace({ downstream: sink.endpoint });
  const linked: Links[] = [];

  const link = async (): Promise<Links & { readonly sets: readonly string[] }> => {
    const database = new URL(databaseUrl);
    const [toPostgres, toRedis] = await Promise.all([
      startFaultProxy({ host: '127.0.0.1', port: Number(database.port) }),
      startFaultProxy({ host: '127.0.0.1', port: redis.port }),
    ]);
    linked.push({ toPostgres, toRedis });
    database.port = String(toPostgres.port);
    const urls = [
      `auth.store.url=${database.href}`,
      `auth.redis.url=redis://127.0.0.1:${toRedis.port}`,
    ];
    return { toPostgres, toRedis, sets: [...settings, ...urls, ...(options.sets ?? [])] };
  };

  let joined = 0;
  const join = async (joining: Joining = {}): Promise<Member> => {
    const { sets, ...links } = await link();
    joined += 1;
    const name = `gateway ${joined}`;
    const environment = { ...options.environment, ...joining.environment };
    const process = await workspace.startWith(environment, ...sets, ...(joining.sets ?? []));
    const admin = adminClient({ port: process.ports.admin as number, token: adminToken });
    return { ...links, name, process, admin };
  };

  const operator = operatorOf(workspace, await link());
  // One after the other: the first one makes the tables, and two cores are not many.
  const members: Member[] = [];
  for (let count = options.gateways ?? 3; count > 0; count -= 1) members.push(await join());

  return {
    postgres,
    redis,
    sink,
    databaseUrl,
    folder: workspace.folder,
    operator,
    members,
    join,
    async heal() {
      for (const { toPostgres, toRedis } of linked) {
        await toPostgres.heal();
        await toRedis.heal();
      }
    },
    async close() {
      await workspace.close();
      for (const { toPostgres, toRedis } of linked) {
        await Promise.all([toPostgres.close(), toRedis.close()]);
      }
      await Promise.all([postgres.close(), redis.close(), sink.stop()]);
    },
  };
}

function operatorOf(
  workspace: Workspace,
  { sets, ...links }: Links & { readonly sets: readonly string[] },
): Operator {
  const set = (all: readonly string[]) => all.flatMap((it) => ['--set', it]);
  return {
    ...links,
    registry: registryOf({
      command: (args, stdin) => workspace.command([...args, ...set(sets)], stdin),
    }),
    command: (args, ...more) => workspace.command([...args, ...set([...sets, ...more])]),
  };
}
