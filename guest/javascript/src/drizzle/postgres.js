// drizzle on PostgreSQL.

import { PgRemoteSession } from 'drizzle-orm/pg-proxy/session';
import { PgDatabase, PgDialect, PgTransaction } from 'drizzle-orm/pg-core';
import { parameter, parsed } from '../driver.js';
import { objects } from '../rows.js';
import { relational } from './schema.js';
import { Transactions } from './transaction.js';

export function postgres(db, { schema, casing, logger } = {}) {
  const tables = relational(schema);
  const dialect = new PgDialect({ casing });
  const query = async (sql, params, method) => {
    const result = parsed(db.run(sql, params.map((value) => parameter(value, 'postgresql'))), 'postgresql');
    if (method === 'all') return { rows: result.rows };
    // As postgres.js returns it: an array of the rows, with the number of rows that the statement has changed.
    return { rows: Object.assign(objects(result), { count: result.rowsAffected }) };
  };
  const session = new Session(query, dialect, tables, { logger });
  session.transactions = new Transactions(db);
  return new PgDatabase(dialect, session, tables);
}

class Session extends PgRemoteSession {
  async transaction(work, config, depth = 0) {
    const transaction = new Transaction(this.dialect, this, this.schema, depth);
    return this.transactions.run(async () => work(transaction), config, depth);
  }
}

class Transaction extends PgTransaction {
  transaction(work, config) {
    return this.session.transaction(work, config, this.nestedIndex + 1);
  }
}
