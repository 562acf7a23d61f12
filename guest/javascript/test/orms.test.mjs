// drizzle and kysely on a fake database. `conformance` compares them with their usual drivers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eq, sql } from 'drizzle-orm';
import { date, json, mysqlTable } from 'drizzle-orm/mysql-core';
import { bigint, pgTable, text } from 'drizzle-orm/pg-core';
import { Kysely } from 'kysely';

import { Writer } from '../src/database.js';
import { Buffer as OwnBuffer } from '../src/drizzle/buffer.js';
import { mysql, postgres, sqlite } from '../src/drizzle/index.js';
import { parameter, parsed } from '../src/driver.js';
import { CaryaDialect } from '../src/kysely.js';
import { FakeDatabase, rows } from './fake/database.mjs';

const items = pgTable('items', { id: bigint('id', { mode: 'number' }), name: text('name') });

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

test('drizzle on PostgreSQL returns the number of changed rows', async () => {
  const orm = postgres(new Writer(new FakeServer('postgresql', changed(2n))));
  const result = await orm.update(items).set({ name: 'x' }).where(eq(items.id, 1));
  assert.equal(result.count, 2);
  assert.equal(result.length, 0);
});

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

test('documents of PostgreSQL are values', async () => {
  const document = (text) => ({ tag: 'other', val: { typeName: 'JSONB', text } });
  const result = {
    columns: [{ name: 'id', typeName: 'INT8' }, { name: 'document', typeName: 'JSONB' }],
    rows: [[{ tag: 'int64', val: 1n }, document('{"a":[1]}')], [{ tag: 'int64', val: 2n }, { tag: 'null' }]],
    rowsAffected: 0n,
  };
  const orm = new Kysely({ dialect: new CaryaDialect(new Writer(new FakeServer('postgresql', result))) });
  const found = await orm.selectFrom('items').selectAll().execute();
  assert.deepEqual(found, [{ id: 1, document: { a: [1] } }, { id: 2, document: null }]);
});

test('documents are values, except on SQLite', () => {
  const columns = [{ name: 'x', typeName: 'JSON' }, { name: 'y', typeName: 'TEXT' }];
  const result = { columns, rows: [['null', 'null'], ['[1]', null], [null, '[1]']] };
  assert.deepEqual(parsed(result, 'mysql').rows, [[null, 'null'], [[1], null], [null, '[1]']]);
  assert.equal(parsed(result, 'sqlite'), result);
});

test('arrays of PostgreSQL are values', () => {
  for (const [typeName, text, expected] of [
    ['INT4[]', '{}', []],
    ['INT4[]', '{1,NULL,-3}', [1, null, -3]],
    ['INT4[]', '[0:1]={1,2}', [1, 2]],
    ['INT4[]', '{{1,2},{3,4}}', [[1, 2], [3, 4]]],
    ['INT8[]', '{7,9007199254740993}', [7, 9007199254740993n]],
    ['FLOAT8[]', '{0.5,-1e-07,NaN}', [0.5, -1e-7, NaN]],
    ['BOOL[]', '{t,f}', [true, false]],
    ['TEXT[]', '{"","a,b","\\"","\\\\","NULL",NULL,"{}"," x",y z}', ['', 'a,b', '"', '\\', 'NULL', null, '{}', ' x', 'y z']],
    ['JSONB[]', '{"{\\"a\\": [1]}"}', [{ a: [1] }]],
    ['NUMERIC[]', '{1.50}', ['1.50']],
  ]) {
    const { rows: [[value]] } = parsed({ columns: [{ name: 'x', typeName }], rows: [[text]] }, 'postgresql');
    assert.deepEqual(value, expected, text);
  }
});

test('parameters are as the drivers accept them', () => {
  const date = new Date('2026-06-01T12:00:00.250Z');
  const bytes = Uint8Array.of(1);
  for (const [value, dialect, expected] of [
    [date, 'postgresql', '2026-06-01T12:00:00.250Z'],
    [date, 'mysql', '2026-06-01 12:00:00.250'],
    [date, 'sqlite', date],
    [{ a: 1 }, 'postgresql', '{"a":1}'],
    [{ a: 1 }, 'mysql', { a: 1 }],
    [[1, null, [2]], 'postgresql', '{"1",NULL,{"2"}}'],
    [['a"', '\\', { b: 1 }], 'postgresql', '{"a\\"","\\\\","{\\"b\\":1}"}'],
    [bytes, 'postgresql', bytes],
    [null, 'postgresql', null],
    [7, 'postgresql', 7],
  ]) {
    assert.deepEqual(parameter(value, dialect), expected);
  }
});

test('drizzle on MySQL parses documents and sends dates', async () => {
  const result = {
    columns: [{ name: 'document', typeName: 'LONGTEXT' }],
    rows: [[{ tag: 'text', val: '{"a":1}' }], [{ tag: 'null' }]],
    rowsAffected: 0n,
  };
  const raw = new FakeServer('mysql', result, changed(1n));
  const orm = mysql(new Writer(raw));
  const events = mysqlTable('events', { document: json('document'), day: date('day') });
  assert.deepEqual(await orm.select({ document: events.document }).from(events), [{ document: { a: 1 } }, { document: null }]);
  await orm.insert(events).values({ day: new Date('2026-06-01T00:00:00Z') });
  assert.deepEqual(raw.calls[1][2], [{ tag: 'text', val: '2026-06-01 00:00:00.000' }]);
});

test('a buffer of drizzle is as one of Node.js', () => {
  const bytes = [0x61, 0xc3, 0xa9];
  for (const value of ['aé', bytes, Uint8Array.from(bytes)]) {
    const buffer = OwnBuffer.from(value);
    assert.deepEqual([...buffer], bytes);
    assert.equal(buffer.toString('utf8'), 'aé');
    assert.ok(OwnBuffer.isBuffer(buffer) && !OwnBuffer.isBuffer(Uint8Array.from(bytes)));
  }
  const part = OwnBuffer.from(Uint8Array.of(1, 2, 3, 4).buffer, 1, 2);
  assert.deepEqual([...part], [2, 3]);
});
