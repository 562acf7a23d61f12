/**
 * drizzle-orm on the handles of the database.
 *
 * `transaction()` opens a savepoint in the transaction of the request, which the host commits or rolls back.
 *
 * ```ts
 * router.get('/items', async (req, db) => sqlite(db, { schema }).query.items.findMany({ with: { orders: true } }));
 * ```
 *
 * @module
 */

import type { Assume, DrizzleConfig } from 'drizzle-orm';
import type { MySqlDatabase } from 'drizzle-orm/mysql-core';
import type { MySqlRemotePreparedQueryHKT, MySqlRemoteQueryResultHKT } from 'drizzle-orm/mysql-proxy';
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';
import type { BaseSQLiteDatabase } from 'drizzle-orm/sqlite-core';
import type { Reader } from '../index.js';

/** Result of `.run()`. */
export interface RunResult {
  changes: number;
  lastInsertRowid: number | bigint | null;
}

/** Result of a statement on PostgreSQL without a list of columns: the rows, and the number of rows that it has changed. */
export interface RowsHKT extends PgQueryResultHKT {
  type: Assume<this['row'], Record<string, unknown>>[] & { count: number };
}

type Schema = Record<string, unknown>;

type Config<TSchema extends Schema> = Pick<DrizzleConfig<TSchema>, 'schema' | 'casing'> & {
  logger?: Exclude<DrizzleConfig['logger'], boolean>;
};

/** Returns drizzle's database on SQLite. Its queries run at once with `.all()`, `.get()` and `.run()`, or when they are awaited.
 * The function of `transaction()` may be `async`. */
export function sqlite<TSchema extends Schema = Record<string, never>>(
  db: Reader,
  config?: Config<TSchema>,
): BaseSQLiteDatabase<'sync', RunResult, TSchema>;

/** Returns drizzle's database on PostgreSQL. */
export function postgres<TSchema extends Schema = Record<string, never>>(
  db: Reader,
  config?: Config<TSchema>,
): PgDatabase<RowsHKT, TSchema>;

/** Returns drizzle's database on MySQL and MariaDB. Use `$returningId()` for generated keys. */
export function mysql<TSchema extends Schema = Record<string, never>>(
  db: Reader,
  config?: Config<TSchema>,
): MySqlDatabase<MySqlRemoteQueryResultHKT, MySqlRemotePreparedQueryHKT, TSchema>;
