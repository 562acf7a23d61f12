// drizzle on SQLite, by its synchronous session: queries run at once (`.all()`, `.get()`, `.run()`) or when they are awaited.

import { BetterSQLiteSession } from 'drizzle-orm/better-sqlite3/session';
import { BaseSQLiteDatabase, SQLiteSyncDialect, SQLiteTransaction } from 'drizzle-orm/sqlite-core';
import { objects } from '../rows.js';
import { relational } from './schema.js';
import { Transactions } from './transaction.js';

export function sqlite(db, { schema, casing, logger } = {}) {
  const tables = relational(schema);
  const dialect = new SQLiteSyncDialect({ casing });
  const session = new Session(client(db), dialect, tables, { logger });
  session.transactions = new Transactions(db);
  return new BaseSQLiteDatabase('sync', dialect, session, tables);
}

class Session extends BetterSQLiteSession {
  transaction(work, config, depth = 0) {
    const transaction = new Transaction('sync', this.dialect, this, this.schema, depth);
    return this.transactions.run(() => work(transaction), config, depth);
  }
}

class Transaction extends SQLiteTransaction {
  transaction(work, config) {
    return this.session.transaction(work, config, this.nestedIndex + 1);
  }
}

// The functions of better-sqlite3 that the session calls.
function client(db) {
  return {
    prepare: (sql) => ({
      run(...params) {
        const { rowsAffected, lastInsertId } = db.run(sql, params);
        return { changes: rowsAffected, lastInsertRowid: lastInsertId };
      },
      all: (...params) => objects(db.run(sql, params)),
      get: (...params) => objects(db.run(sql, params))[0],
      raw: () => ({
        all: (...params) => db.run(sql, params).rows,
        get: (...params) => db.run(sql, params).rows[0],
      }),
    }),
  };
}
