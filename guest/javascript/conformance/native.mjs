// The usual drivers of the mappers in Node.js, on a database with the tables of the cases.

import { BetterSQLiteSession } from 'drizzle-orm/better-sqlite3/session';
import { drizzle as drizzleOnMysql } from 'drizzle-orm/mysql2';
import { drizzle as drizzleOnPostgres } from 'drizzle-orm/node-postgres';
import { createTableRelationsHelpers, extractTablesRelationalConfig } from 'drizzle-orm/relations';
import { BaseSQLiteDatabase, SQLiteSyncDialect } from 'drizzle-orm/sqlite-core';
import { readFile } from 'node:fs/promises';
import { Kysely, MysqlDialect, PostgresDialect, SqliteDialect } from 'kysely';
import mysql from 'mysql2';
import pg from 'pg';
import initSqlJs from 'sql.js';

// Returns an integer as the guest library does: as a number if a number is exact.
const integer = (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text));

// SQLite is in memory. The other databases exist at the URL.
export async function open(dialect, url) {
  return { sqlite, postgresql, mysql: mariadb }[dialect](url);
}

async function sqlite() {
  const SQL = await initSqlJs();
  const client = new SQL.Database();
  client.run('PRAGMA foreign_keys = ON');
  client.run(await readFile(new URL('tables/sqlite.sql', import.meta.url), 'utf8'));
  const database = betterSqlite(client);
  return {
    execute: async (sql) => client.run(sql),
    drizzle(fullSchema) {
      const { tables, tableNamesMap } = extractTablesRelationalConfig(fullSchema, createTableRelationsHelpers);
      const schema = { fullSchema, schema: tables, tableNamesMap };
      const sqliteDialect = new SQLiteSyncDialect();
      return new BaseSQLiteDatabase('sync', sqliteDialect, new BetterSQLiteSession(database, sqliteDialect, schema), schema);
    },
    affected: ({ changes }) => changes,
    rows: (db, query) => db.all(query),
    kysely: () => new Kysely({ dialect: new SqliteDialect({ database }) }),
    // The driver has no class of its own for errors.
    databaseError: (error) => (error.constructor === Error && error.cause === undefined ? { message: error.message } : undefined),
    close: async () => client.close(),
  };
}

// The functions of better-sqlite3 that the mappers call, on SQLite in WebAssembly. The package itself needs a compiler. The
// driver of drizzle for sql.js does not map the rows of relational queries.
function betterSqlite(client) {
  const prepare = (sql) => {
    const statement = client.prepare(sql);
    const columns = statement.getColumnNames();
    const values = (params) => {
      const rows = [];
      statement.bind(params);
      while (statement.step()) {
        rows.push(statement.get(null, { useBigInt: true }).map((value) => (typeof value === 'bigint' ? integer(value) : value)));
      }
      statement.reset();
      return rows;
    };
    const objects = (params) =>
      values(params).map((row) => Object.fromEntries(row.map((value, index) => [columns[index], value])));
    return {
      reader: columns.length > 0,
      // kysely passes an array, and drizzle each parameter.
      all: (...params) => objects(params.flat()),
      get: (...params) => objects(params.flat())[0],
      iterate: (...params) => objects(params.flat()),
      run(...params) {
        values(params.flat());
        const [{ values: [[lastInsertRowid]] }] = client.exec('SELECT last_insert_rowid()');
        return { changes: client.getRowsModified(), lastInsertRowid };
      },
      raw: () => ({ all: (...params) => values(params), get: (...params) => values(params)[0] }),
    };
  };
  const transaction = (work) => ({
    deferred(...args) {
      client.run('BEGIN');
      try {
        const result = work(...args);
        client.run('COMMIT');
        return result;
      } catch (error) {
        client.run('ROLLBACK');
        throw error;
      }
    },
  });
  return { prepare, transaction, close() {} };
}

async function postgresql(url) {
  const pool = new pg.Pool({ connectionString: url });
  // kysely returns values as the driver does, which by default returns 64-bit integers as texts.
  const types = { getTypeParser: (type, format) => (type === pg.types.builtins.INT8 ? integer : pg.types.getTypeParser(type, format)) };
  const poolOfKysely = new pg.Pool({ connectionString: url, types });
  return {
    execute: (sql) => pool.query(sql),
    drizzle: (schema) => drizzleOnPostgres(pool, { schema }),
    affected: ({ rowCount }) => rowCount,
    rows: async (db, query) => (await db.execute(query)).rows,
    kysely: () => new Kysely({ dialect: new PostgresDialect({ pool: poolOfKysely }) }),
    databaseError({ code, message, constraint, severity }) {
      return severity === undefined ? undefined : { code, message, constraint };
    },
    close: () => Promise.all([pool.end(), poolOfKysely.end()]),
  };
}

async function mariadb(url) {
  const { hostname, port, username, password, pathname } = new URL(url);
  const options = {
    host: hostname, port: Number(port), user: username, password: decodeURIComponent(password), database: pathname.slice(1), timezone: 'Z',
  };
  // mysql2 would round large integers.
  const typeCast = (field, next) => (field.type === 'LONGLONG' ? exact(field.string()) : next());
  const exact = (text) => (text === null ? null : integer(text));
  const pool = mysql.createPool({ ...options, supportBigNumbers: true, typeCast });
  return {
    execute: (sql) => pool.promise().query(sql),
    drizzle: (schema) => drizzleOnMysql(pool.promise(), { schema, mode: 'planetscale' }),
    affected: ([{ affectedRows }]) => affectedRows,
    rows: async (db, query) => (await db.execute(query))[0],
    kysely: () => new Kysely({ dialect: new MysqlDialect({ pool }) }),
    databaseError({ errno, sqlMessage }) {
      return sqlMessage === undefined ? undefined : { code: String(errno) };
    },
    close: () => pool.promise().end(),
  };
}
