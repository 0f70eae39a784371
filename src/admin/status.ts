/** What a gateway says about its own state; handed over by who knows all rooms. */
import { z } from '@hono/zod-openapi';

const count = z.int().min(0);

export const status = z
  .strictObject({
    version: z.string().openapi({ example: '0.1.0' }),
    started_at: z.string().openapi({ format: 'date-time' }),
    uptime_seconds: z.number().min(0),
    auth: z.strictObject({
      mode: z.enum(['keys', 'passthrough']),
      store: z.enum(['sqlite', 'postgres']).nullable().openapi({
        description: 'Where keys are kept; null where the next hop keeps them.',
      }),
    }),
    key_cache: z
      .strictObject({
        fence: z.enum(['open', 'closed']).openapi({
          description: '`open`: what is in memory is fresh enough to be used.',
        }),
        version: count.openapi({ description: 'The newest change that this gateway knows of.' }),
        keys: count,
        unknown_keys: count,
        projects: count,
        feed_age_seconds: z.number().min(0).nullable().openapi({
          description: 'How long ago all changes were known; null before the first time.',
        }),
      })
      .nullable()
      .openapi({ description: 'Null for a store that needs no cache.' }),
    redis: z.enum(['up', 'down']).nullable().openapi({ description: 'Null where none is used.' }),
    delivery: z.strictObject({ mode: z.enum(['durable', 'sync', 'memory']) }),
    queue: z
      .strictObject({ items: count, bytes: count })
      .nullable()
      .openapi({ description: 'Spans that wait in the sending queue; null where there is none.' }),
    in_flight: z.strictObject({ bytes: count, bytes_max: count }).openapi({
      description: 'Bytes of requests that are held in memory.',
    }),
    requests: z
      .strictObject({ ok: count, partial: count, refused: count })
      .openapi({ description: 'Since the start.' }),
    spans: z
      .strictObject({ accepted: count, rejected: count, delivered: count, dropped: count })
      .openapi({ description: 'Since the start.' }),
  })
  .openapi('Status');

export type AdminStatus = z.infer<typeof status>;
