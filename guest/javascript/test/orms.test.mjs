// drizzle and kysely on a fake database.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'drizzle-orm';
import { Kysely } from 'kysely';

import { Writer } from '../src/database.js';
import { mysql, postgres, sqlite } from '../src/drizzle/index.js';
import { CaryaDialect } from '../src/kysely.js';
import { FakeDatabase, rows } from './fake/database.mjs';

const changed = (rowsAffected) => ({ ...rows([]), rowsAffected, lastInsertId: undefined });

class FakeServer extends FakeDatabase {
  constructor(dialect, ...results) {
    super(...results);
    this.dialect = () => dialect;
  }

  // Returns the statements, and the functions that ended a savepoint.
  get steps() {
    return this.calls.map(([name, statement]) => statement ?? name);
  }
}

// A savepoint records its end in the calls of its database.
function savepoint(raw) {
  return { release: () => raw.calls.push(['release']), rollback: () => raw.calls.push(['rollback']) };
}

test('drizzle runs transactions one after another', async () => {
  for (const open of [postgres, mysql, sqlite]) {
    const raw = new FakeServer('postgresql');
    raw.results = [savepoint(raw), changed(1n), changed(1n), savepoint(raw), changed(1n), changed(1n)];
    const orm = open(new Writer(raw));
    const run = (tx, text) => (open === sqlite ? tx.run(sql.raw(text)) : tx.execute(sql.raw(text)));
    const work = (name, fails) => orm.transaction(async (tx) => {
      await run(tx, `${name} 1`);
      await run(tx, `${name} 2`);
      if (fails) throw new Error('no');
    });
    const results = await Promise.allSettled([work('first', true), work('second', false)]);
    assert.deepEqual(results.map(({ status }) => status), ['rejected', 'fulfilled']);
    assert.deepEqual(raw.steps, ['savepoint', 'first 1', 'first 2', 'rollback', 'savepoint', 'second 1', 'second 2', 'release']);
  }
});

test('drizzle runs a nested transaction inside the outer one', async () => {
  const raw = new FakeServer('postgresql');
  raw.results = [savepoint(raw), savepoint(raw), changed(1n)];
  const nested = (tx) => tx.transaction((inner) => inner.execute(sql.raw('work')));
  await postgres(new Writer(raw)).transaction(nested);
  assert.deepEqual(raw.steps, ['savepoint', 'savepoint', 'work', 'release', 'release']);
});

test('an isolation level is refused, because the host sets it', async () => {
  const db = new Writer(new FakeServer('postgresql'));
  const orm = new Kysely({ dialect: new CaryaDialect(db) });
  await assert.rejects(orm.transaction().setIsolationLevel('serializable').execute(() => {}), /the host sets the isolation level/);
  await assert.rejects(postgres(db).transaction(() => {}, { isolationLevel: 'serializable' }), /the host sets the isolation level/);
});

test('kysely lets statements wait for the end of a transaction', async () => {
  for (const dialect of ['sqlite', 'postgresql', 'mysql']) {
    const raw = new FakeServer(dialect);
    raw.results = Array.from({ length: 5 }, () => changed(1n));
    const orm = new Kysely({ dialect: new CaryaDialect(new Writer(raw)) });
    const transaction = orm.transaction().execute((tx) => tx.deleteFrom('inside').execute());
    await Promise.all([transaction, orm.deleteFrom('outside').execute()]);
    const [begin, inside, end, outside] = raw.steps;
    assert.match(begin, /^SAVEPOINT/, dialect);
    assert.match(inside, /inside/, dialect);
    assert.match(end, /^RELEASE/, dialect);
    assert.match(outside, /outside/, dialect);
  }
});
