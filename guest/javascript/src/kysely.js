// A dialect of kysely on the handles of the database. A transaction is a savepoint in the transaction of the request, which
// the host owns.

import {
  MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler,
  SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler,
} from 'kysely';
import { parameter, parsed } from './driver.js';
import { objects } from './rows.js';

const PARTS = {
  sqlite: [SqliteAdapter, SqliteQueryCompiler, SqliteIntrospector],
  postgresql: [PostgresAdapter, PostgresQueryCompiler, PostgresIntrospector],
  mysql: [MysqlAdapter, MysqlQueryCompiler, MysqlIntrospector],
};

export class CaryaDialect {
  #db;
  #parts;

  constructor(db) {
    this.#db = db;
    this.#parts = PARTS[db.dialect];
  }

  createDriver() {
    return new Driver(this.#db);
  }

  createAdapter() {
    // All queries use the connection of the request, so kysely must let them wait for the end of a transaction.
    return Object.defineProperty(new this.#parts[0](), 'supportsMultipleConnections', { value: false });
  }

  createQueryCompiler() {
    return new this.#parts[1]();
  }

  createIntrospector(db) {
    return new this.#parts[2](db);
  }
}

// Name of the savepoint that stands for the transaction of kysely.
const TRANSACTION = 'kysely_transaction';

class Driver {
  #connection;

  constructor(db) {
    this.#connection = new Connection(db);
  }

  async init() {}
  async destroy() {}

  async acquireConnection() {
    return this.#connection;
  }

  async releaseConnection() {}

  async beginTransaction(connection, { isolationLevel }) {
    if (isolationLevel !== undefined) {
      throw new Error('the host sets the isolation level: remove `setIsolationLevel`, and set `isolation` of the route');
    }
    connection.control(`SAVEPOINT ${TRANSACTION}`);
  }

  async commitTransaction(connection) {
    connection.control(`RELEASE SAVEPOINT ${TRANSACTION}`);
  }

  async rollbackTransaction(connection) {
    connection.control(`ROLLBACK TO SAVEPOINT ${TRANSACTION}`);
    connection.control(`RELEASE SAVEPOINT ${TRANSACTION}`);
  }

  async savepoint(connection, name) {
    connection.control(`SAVEPOINT ${name}`);
  }

  async rollbackToSavepoint(connection, name) {
    connection.control(`ROLLBACK TO SAVEPOINT ${name}`);
  }

  async releaseSavepoint(connection, name) {
    connection.control(`RELEASE SAVEPOINT ${name}`);
  }
}

class Connection {
  #db;

  constructor(db) {
    this.#db = db;
  }

  // A request that only reads needs no savepoint.
  control(sql) {
    if (typeof this.#db.execute === 'function') this.#db.execute(sql);
  }

  async executeQuery({ sql, parameters }) {
    const { dialect } = this.#db;
    const result = this.#db.run(sql, parameters.map((value) => parameter(value, dialect)));
    return {
      rows: objects(parsed(result, dialect)),
      numAffectedRows: BigInt(result.rowsAffected),
      insertId: result.lastInsertId === null ? undefined : BigInt(result.lastInsertId),
    };
  }

  // eslint-disable-next-line require-yield
  async *streamQuery() {
    throw new Error('rows cannot be streamed to a guest; return `rows.json(sql, params)` to stream them to the client');
  }
}
