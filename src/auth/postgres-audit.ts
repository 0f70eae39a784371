/** Reading the audit log in PostgreSQL. */
import type { SqlValue } from './postgres-pool.ts';
import type { Registry } from './postgres-registry.ts';
import { type AuditRow, entryOf } from './registry-records.ts';
import { checkPage, pageOf } from './registry-rules.ts';
import type { Store } from './store.ts';

export function createAudit(registry: Registry): Store['audit'] {
  return {
    async list(query = {}) {
      const { after, limit } = checkPage(query);
      const values: SqlValue[] = [after ?? Number.MAX_SAFE_INTEGER, limit + 1];
      const where = ['version < $1'];
      if (query.projectId !== undefined)
        where.push(`project_id = $${values.push(query.projectId)}`);
      if (query.subjectId !== undefined)
        where.push(`subject_id = $${values.push(query.subjectId)}`);
      const sql =
        'SELECT version, at_ms, actor, action, project_id, subject_id, details::text ' +
        `FROM audit_log WHERE ${where.join(' AND ')} ORDER BY version DESC LIMIT $2`;
      const rows = await registry.read((session) => session.query<AuditRow>(sql, values));
      return pageOf(rows, limit, { item: entryOf, position: (row) => row.version });
    },
  };
}
