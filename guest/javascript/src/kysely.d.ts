/**
 * A dialect of kysely on the handles of the database, for SQLite, PostgreSQL, MySQL and MariaDB.
 *
 * ```ts
 * const orm = new Kysely<Shop>({ dialect: new CaryaDialect(db) });
 * ```
 *
 * @module
 */

import type { DatabaseIntrospector, Dialect, DialectAdapter, Driver, Kysely, QueryCompiler } from 'kysely';
import type { Reader } from './index.js';

/** A transaction of kysely is a savepoint in the transaction of the request, which the host commits or rolls back. */
export class CaryaDialect implements Dialect {
  constructor(db: Reader);
  createDriver(): Driver;
  createAdapter(): DialectAdapter;
  createQueryCompiler(): QueryCompiler;
  createIntrospector(db: Kysely<any>): DatabaseIntrospector;
}
