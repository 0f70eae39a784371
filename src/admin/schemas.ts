/**
 * What the admin API takes and gives, once: requests are checked by these schemas, and the OpenAPI
 * document is made from them.
 *
 * They say what a field is. What the registry allows (names, scopes, expiries) is for the registry
 * alone to say, so that commands and API give the same answer; where the document can state such a
 * rule, `.openapi` does.
 */
import { z } from '@hono/zod-openapi';
import { auditActions } from '../auth/auth.ts';
import { type ErrorKind, errorTable } from '../core/errors.ts';

const uuidPattern = '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
const time = z.string().openapi({ format: 'date-time', example: '2026-11-24T20:43:00.000Z' });
const id = (example: string) => z.string().openapi({ example });
const projectId = id('prj_2mVhYF0cZzQk81sA');
const agentId = id('9b2d5c1e-7a40-4a52-9d3e-6c1f2b7a8e10').openapi({ format: 'uuid' });
const keyId = id('key_8Hq0rT3bXwLk52Ne');
const name = z.string().openapi({ example: 'Production' });

export const project = z.strictObject({ id: projectId, name, created_at: time }).openapi('Project');

export const agent = z
  .strictObject({ id: agentId, project_id: projectId, name, created_at: time })
  .openapi('Agent');

const keyFields = {
  id: keyId,
  project_id: projectId,
  name,
  masked_key: z.string().openapi({ example: 'mibo_...k7Qd' }),
  scope: z.enum(['all', 'agents']).openapi({
    description: '`all`: every agent of the project, later ones too. `agents`: those of `agents`.',
  }),
  agents: z.array(agentId).openapi({
    description: 'For scope `agents`; empty once all of them were removed: it then reaches none.',
  }),
  status: z.enum(['active', 'expired']),
  created_at: time,
  created_by: z.string().openapi({ example: 'cli:ada' }),
  last_used_at: time.nullable().openapi({ description: 'Full minutes; may be 30 s behind.' }),
  expires_at: time.nullable(),
  rotated_from: keyId.nullable().openapi({ description: 'The key that this one replaces.' }),
};

export const apiKey = z.strictObject(keyFields).openapi('ApiKey');

const secret = 'The only time that the secret is seen; not there for an imported key.';
export const createdKey = z
  .strictObject({ ...keyFields, key: z.string().optional().openapi({ description: secret }) })
  .openapi('CreatedApiKey');

export const revoked = z
  .strictObject({
    effective: z.literal(true).openapi({ description: 'No gateway accepts the key any more.' }),
    effective_after_ms: z.int().min(0),
  })
  .openapi('Revoked');

export const auditEntry = z
  .strictObject({
    version: z.int().openapi({ description: 'Rises in the order of the changes.' }),
    at: time,
    by: z.string().openapi({ example: 'api:127.0.0.1' }),
    action: z.enum(auditActions),
    project_id: projectId,
    subject_id: z.string().openapi({ description: 'The project, agent or key that changed.' }),
    details: z.record(z.string(), z.unknown()),
  })
  .openapi('AuditEntry');

const errorKinds = Object.keys(errorTable) as [ErrorKind, ...ErrorKind[]];
export const rejection = z
  .strictObject({
    at: time.openapi({ description: 'Of the last one, where several were the same.' }),
    protocol: z.enum(['grpc', 'http']),
    status: z.int().openapi({
      description: 'gRPC or HTTP, as the client saw it; a success if a part was refused.',
    }),
    reason: z.enum(errorKinds),
    hint: z.string(),
    trace_id: z.string().nullable(),
    count: z.int().min(1).openapi({ description: 'How many in a row were the same.' }),
  })
  .openapi('Rejection');

/** One page of a list. */
export function pageOf<Item extends z.ZodType>(item: Item, title: string) {
  return z
    .strictObject({
      items: z.array(item),
      next_cursor: z.string().optional().openapi({ description: 'There if more follows.' }),
    })
    .openapi(title);
}

export const rejectionList = z.strictObject({ items: z.array(rejection) }).openapi('Rejections');

const finding = z.strictObject({
  path: z.string().openapi({ example: 'agents.0' }),
  message: z.string(),
});

export const problem = z
  .strictObject({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int(),
    detail: z.string().openapi({ description: 'What to do, in plain words.' }),
    errors: z.array(finding).optional(),
  })
  .openapi('Problem');

// What follows is sent by clients.

/** `\p{Cc}`, spelled out: not everybody who reads the document knows that. */
const control = '\\u0000-\\u001f\\u007f-\\u009f';

/** Counted in characters by the registry, as here; zod counts UTF-16 units. */
const newName = z.string('write a text').openapi({
  example: 'Production',
  minLength: 1,
  maxLength: 100,
  pattern: `^[^${control}]*[^${control}\\s][^${control}]*$`,
});

const newAgentId = z
  .string('write the UUID of an agent')
  .regex(new RegExp(uuidPattern), 'write a plain UUID, without quotes or spaces')
  .openapi({ format: 'uuid' });

const scope = z
  .union([z.literal('all'), z.array(newAgentId).min(1).max(1000)], {
    error: 'write "all", or a list of 1 to 1000 agent ids',
  })
  .openapi({ description: '`"all"`: every agent of the project, later ones too.' });

const expiry = z.iso
  .datetime({ offset: true, error: 'write a time such as 2027-01-31T00:00:00Z' })
  .nullable()
  .openapi({ format: 'date-time', description: 'Left out or null: it never expires.' });

export const newProject = z.strictObject({ name: newName }).openapi('NewProject');

export const newAgent = z
  .strictObject({ id: newAgentId, name: newName })
  .openapi('NewAgent', { description: 'The id is the one that Mibo shows.' });

export const newKey = z
  .strictObject({
    name: newName,
    agents: scope.optional(),
    expires_at: expiry.optional(),
    key: z.string('write the key').optional().openapi({
      description: 'A key that exists elsewhere and is to work here. Left out: one is made.',
      pattern: '^mibo_[A-Za-z0-9_-]{16,128}$',
    }),
  })
  .openapi('NewApiKey');

export const keyChange = z
  .strictObject({ name: newName.optional(), agents: scope.optional() })
  .openapi('ApiKeyChange', { description: 'Both are changed, or neither if one is refused.' });

export const rotation = z
  .strictObject({
    grace: z
      .string('write a duration such as 24h')
      .regex(/^(0|([0-9]+(\.[0-9]+)?(ms|[smhdw]))+)$/, 'write a duration such as 24h or 1h30m')
      .default('24h')
      .openapi({
        description: 'How long the old key still works, up to 366 days; 0 ends it at once.',
        example: '24h',
      }),
  })
  .openapi('Rotation');

/** An id or a name in a path; what no store could hold is simply not there. */
export const segment = z.string();
const filter = z.string('write it once');

const page = {
  limit: z
    .string('write it once')
    .regex(/^[1-9]\d{0,3}$/, 'write a number from 1 to 1000')
    .transform(Number)
    .refine((limit) => limit <= 1000, 'write a number from 1 to 1000')
    .optional()
    .openapi({ type: 'integer', minimum: 1, maximum: 1000, default: 1000 }),
  cursor: z
    .string('write it once')
    .regex(/^\d{1,16}$/, 'pass next_cursor on as it was given')
    .optional()
    .openapi({ description: '`next_cursor` of the page before.' }),
};

export const pageQuery = z.strictObject(page);

export const auditQuery = z.strictObject({
  ...page,
  project: filter.optional().openapi({ description: 'The id or name of a project.' }),
  subject: filter.optional().openapi({ description: 'The id of a project, an agent or a key.' }),
});
