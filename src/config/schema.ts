/** The tree of all settings, and the same as a flat list with each setting's path. */
import { z } from 'zod';
import { duration } from './kinds.ts';
import { auth, limits, routing } from './schema-auth.ts';
import { admin, delivery, downstream, telemetry } from './schema-delivery.ts';
import { receivers, signals } from './schema-receivers.ts';
import { type Setting, section, sections, settings } from './setting.ts';

export const configSchema = section('All settings of the gateway.', {
  receivers,
  signals,
  auth,
  routing,
  limits,
  delivery,
  downstream,
  admin,
  telemetry,
  shutdown_timeout: duration({
    about: 'How long a stop may take to finish what is under way.',
    preset: '30s',
    min: '0s',
    max: '1h',
  }),
});

/** Names as in the YAML; durations in milliseconds, endpoints as `{ host, port }`, sizes in MiB. */
export type Config = z.infer<typeof configSchema>;

export type Entry = {
  readonly path: readonly string[];
  readonly about: string;
  readonly schema: z.ZodType;
  /** Absent for a section. */
  readonly setting?: Setting;
};

/** Every section and setting, each section before what it holds, in the order of the tree. */
export const entries: readonly Entry[] = listEntries(configSchema, []);

export const settingEntries = entries.filter(
  (entry): entry is Entry & { setting: Setting } => entry.setting !== undefined,
);

/** Whether a path leads to a known setting without secrets, or into it. */
export function isOpen(path: readonly string[]): boolean {
  const entry = settingEntries.find((each) => each.path.every((name, at) => name === path[at]));
  return entry !== undefined && entry.setting.mask === undefined;
}

function listEntries(parent: z.ZodObject, above: readonly string[]): Entry[] {
  return Object.entries(parent.shape).flatMap(([name, child]) => {
    const path = [...above, name];
    const schema = child as z.ZodType;
    if (schema instanceof z.ZodObject) {
      const about = sections.get(schema)?.about ?? '';
      return [{ path, about, schema }, ...listEntries(schema, path)];
    }
    const setting = settings.get(schema) as Setting;
    return [{ path, about: setting.about, schema, setting }];
  });
}
