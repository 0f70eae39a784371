/**
 * Settings of features that this version does not have. They are in the schema, so that a wrong
 * type is told as such; switched on, they are refused with what to do instead, never ignored.
 */
import { isDeepStrictEqual } from 'node:util';
import { spareConfig } from './presets.ts';
import { type ConfigProblem, maskPasted } from './problems.ts';
import { type Config, type Entry, settingEntries } from './schema.ts';
import { writtenValue } from './setting.ts';
import { valueAt } from './tree.ts';

export type Unavailable = {
  /** A setting, or a section and all in it. */
  readonly path: string;
  /** The values that are refused; without it every value but the default. */
  readonly values?: readonly unknown[];
  readonly instead: string;
};

const proxyTls = 'leave it out; let a load balancer or reverse proxy in front end TLS';

export const unavailable: readonly Unavailable[] = [
  { path: 'receivers.otlp.protocols.grpc.tls', instead: proxyTls },
  { path: 'receivers.otlp.protocols.http.tls', instead: proxyTls },
  {
    path: 'receivers.otlp.protocols.http.cors',
    instead: 'leave it out; let a reverse proxy in front answer browsers',
  },
  {
    path: 'signals.metrics',
    values: ['forward'],
    instead: 'set reject; send metrics to a Collector',
  },
  { path: 'signals.logs', values: ['forward'], instead: 'set reject; send logs to a Collector' },
  {
    path: 'delivery.mode',
    values: ['durable'],
    instead: 'set sync (a 200 after the downstream has it), or memory',
  },
  { path: 'delivery.sending_queue', instead: 'leave it out; set delivery.mode to sync or memory' },
  { path: 'delivery.dead_letters', instead: 'leave it out; what is refused for good is logged' },
  {
    path: 'downstream.tls',
    instead: 'leave it out; an https endpoint trusts the usual authorities',
  },
  { path: 'telemetry.traces', instead: 'leave it empty; see telemetry.metrics and telemetry.logs' },
];

/** What this version does not have of a setting, if anything. */
export function unavailableAt(entry: Entry): Unavailable | undefined {
  const name = entry.path.join('.');
  return unavailable.find(({ path }) => name === path || name.startsWith(`${path}.`));
}

export function checkAvailable(config: Config): readonly ConfigProblem[] {
  return settingEntries.flatMap((entry) => {
    const row = unavailableAt(entry);
    if (row === undefined) return [];
    const value = valueAt(config, entry.path);
    const preset = valueAt(spareConfig, entry.path);
    const off =
      row.values === undefined ? isDeepStrictEqual(value, preset) : !row.values.includes(value);
    if (off) return [];
    const only = JSON.stringify(writtenValue(preset, entry.setting, { masked: true }));
    const allowed = row.values === undefined ? `only ${only}` : 'another value';
    return [
      {
        path: entry.path.join('.'),
        value: maskPasted(writtenValue(value, entry.setting, { masked: true })),
        expected: `${allowed}: this version has it not yet`,
        hint: row.instead,
      },
    ];
  });
}
