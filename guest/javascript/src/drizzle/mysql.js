// drizzle on MySQL and MariaDB.

import { MySqlDatabase, MySqlDialect, MySqlJson, MySqlTransaction } from 'drizzle-orm/mysql-core';
import { MySqlRemoteSession } from 'drizzle-orm/mysql-proxy/session';
import { parameter } from '../driver.js';
import { objects } from '../rows.js';
import { Buffer } from './buffer.js';
import { relational } from './schema.js';
import { Transactions } from './transaction.js';

// Relational queries without LATERAL, which MariaDB lacks.
const MODE = 'planetscale';

// drizzle leaves documents to mysql2, which parses them.
MySqlJson.prototype.mapFromDriverValue = (value) => (typeof value === 'string' ? JSON.parse(value) : value);

export function mysql(db, { schema, casing, logger } = {}) {
  const tables = relational(schema);
  const dialect = new MySqlDialect({ casing });
  const query = async (sql, params, method) => {
    const result = db.run(sql, params.map((value) => parameter(value, 'mysql')));
    if (method === 'all') return { rows: result.rows.map((row) => row.map(asBuffer)) };
    // As mysql2 returns it: the rows and the columns of a query, and the effects of another statement.
    const { rowsAffected, lastInsertId, columns } = result;
    const first = columns.length > 0 ? objects(result) : { affectedRows: rowsAffected, insertId: lastInsertId ?? 0 };
    return { rows: [first, columns] };
  };
  const session = new Session(query, dialect, tables, { logger });
  session.transactions = new Transactions(db);
  return new MySqlDatabase(dialect, session, tables, MODE);
}

// `binary()` and `varbinary()` of drizzle read texts from the buffers of mysql2.
const asBuffer = (value) => (value instanceof Uint8Array ? Buffer.from(value) : value);

class Session extends MySqlRemoteSession {
  async transaction(work, config, depth = 0) {
    const transaction = new Transaction(this.dialect, this, this.schema, depth, MODE);
    return this.transactions.run(async () => work(transaction), config, depth);
  }
}

class Transaction extends MySqlTransaction {
  transaction(work, config) {
    return this.session.transaction(work, config, this.nestedIndex + 1);
  }
}
