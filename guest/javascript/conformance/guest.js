// Program that runs the cases in a guest. The path names the mapper, and the body the case.

import { DbError, noContent, router } from 'carya-guest';
import { mysql, postgres, sqlite } from 'carya-guest/drizzle';
import { CaryaDialect } from 'carya-guest/kysely';
import { Kysely } from 'kysely';

import { resetStatements } from './data.js';
import * as drizzleCases from './drizzle/cases.js';
import * as mysqlTables from './drizzle/mysql.js';
import * as postgresTables from './drizzle/postgresql.js';
import * as sqliteTables from './drizzle/sqlite.js';
import * as kyselyCases from './kysely/cases.js';
import { errorFields, outcome } from './outcome.js';

const drizzle = {
  sqlite: { open: sqlite, tables: sqliteTables, affected: ({ changes }) => changes, rows: (orm, query) => orm.all(query) },
  postgresql: { open: postgres, tables: postgresTables, affected: ({ count }) => count, rows: (orm, query) => orm.execute(query) },
  mysql: {
    open: mysql,
    tables: mysqlTables,
    affected: ([{ affectedRows }]) => affectedRows,
    rows: async (orm, query) => (await orm.execute(query))[0],
  },
};

router.post('/drizzle', (req, db) => {
  const { open, tables, affected, rows } = drizzle[db.dialect];
  const orm = open(db, { schema: drizzleCases.schemaOf(tables) });
  const names = { ...tables, isMysql: db.dialect === 'mysql', affected, rows };
  return run(db, drizzleCases, req.text(), orm, names);
});

router.post('/kysely', (req, db) => {
  const orm = new Kysely({ dialect: new CaryaDialect(db) });
  return run(db, kyselyCases, req.text(), orm, db.dialect);
});

// The other databases are reset by the driver in Node.js.
router.post('/reset', (req, db) => {
  for (const statement of resetStatements('sqlite')) db.execute(statement);
  return noContent();
});

function run(db, { CLASSES, casesOf }, name, ...args) {
  const work = casesOf(db.dialect)[name];
  const databaseError = (error) => (error instanceof DbError ? fields[db.dialect](error) : undefined);
  // The savepoint keeps the transaction of the request usable after a failed statement.
  return outcome(() => db.savepoint(async () => work(...args)), (error) => errorFields(error, CLASSES, databaseError));
}

// The fields that the driver in Node.js has too. Messages of MariaDB are without values of other rows.
const fields = {
  sqlite: ({ message }) => ({ message }),
  postgresql({ code, message, hint, constraint }) {
    return { code, message: message.replace(`; hint: ${hint}`, ''), constraint: constraint?.name };
  },
  mysql: ({ code }) => ({ code }),
};
