/** The audit log: one row for each change, in the change's own transaction; never edited. */
import { type AuditRow, entryOf } from './registry-records.ts';
import { checkPage, pageOf } from './registry-rules.ts';
import type { Connection } from './sqlite-connection.ts';
import type { SqliteFile } from './sqlite-file.ts';
import type { AuditEntry, Store } from './store.ts';

/** Gives the change its version. */
export function recordChange(connection: Connection, entry: Omit<AuditEntry, 'version'>): void {
  connection.run(
    'INSERT INTO audit_log (at_ms, actor, action, project_id, subject_id, details) ' +
      'VALUES (?, ?, ?, ?, ?, ?)',
    entry.atMs,
    entry.by,
    entry.action,
    entry.projectId,
    entry.subjectId,
    JSON.stringify(entry.details),
  );
}

export function createAudit(file: SqliteFile): Store['audit'] {
  return {
    async list(query = {}) {
      const { after, limit } = checkPage(query);
      const where = ['version < ?'];
      const values: (string | number)[] = [after ?? Number.MAX_SAFE_INTEGER];
      if (query.projectId !== undefined) {
        where.push('project_id = ?');
        values.push(query.projectId);
      }
      if (query.subjectId !== undefined) {
        where.push('subject_id = ?');
        values.push(query.subjectId);
      }
      const filter = where.join(' AND ');
      const sql = `SELECT * FROM audit_log WHERE ${filter} ORDER BY version DESC LIMIT ?`;
      const rows = file.read((connection) => connection.all<AuditRow>(sql, ...values, limit + 1));
      return pageOf(rows, limit, { item: entryOf, position: (row) => row.version });
    },
  };
}
