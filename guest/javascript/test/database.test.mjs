import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Reader, Writer, handle } from '../src/database.js';
import { DbError, dbError, describe, onViolation } from '../src/error.js';
import { Problem } from '../src/problem.js';
import { FakeDatabase, rows } from './fake/database.mjs';

const int = (val) => ({ tag: 'int64', val });
const unique = {
  kind: 'constraint',
  code: '2067',
  message: 'UNIQUE constraint failed: items.name',
  retryable: false,
  constraint: { kind: 'unique', name: undefined, table: 'items', columns: ['name'] },
};

test('rows are objects, and scalars are the only column', () => {
  const two = () => rows(['id', 'name'], [int(1n), { tag: 'text', val: 'a' }], [int(2n), { tag: 'null' }]);
  const db = new Reader(new FakeDatabase(two(), two(), rows(['n'], [int(3n)]), rows(['n']), rows(['n'], [int(1n)], [int(2n)]), two()));
  assert.deepEqual(db.all('SELECT'), [{ id: 1, name: 'a' }, { id: 2, name: null }]);
  assert.deepEqual(db.first('SELECT', [1]), { id: 1, name: 'a' });
  assert.equal(db.value('SELECT'), 3);
  assert.equal(db.value('SELECT'), undefined);
  assert.deepEqual(db.values('SELECT'), [1, 2]);
  assert.throws(() => db.value('SELECT'), /one column, but they have 2/);
  const named = new Reader(new FakeDatabase(rows(['__proto__'], [int(4n)]))).first('SELECT');
  assert.deepEqual(Object.entries(named), [['__proto__', 4]]);
});

test('a missing row is undefined, or an error if it must exist', () => {
  const db = new Reader(new FakeDatabase(rows(['id']), rows(['id']), undefined, undefined, '{"id":1}'));
  assert.equal(db.first('SELECT'), undefined);
  assert.throws(() => db.one('SELECT'), { name: 'DbError', kind: 'data', message: 'the query returned no row: SELECT' });
  assert.equal(db.firstJson('SELECT'), undefined);
  assert.throws(() => db.oneJson('SELECT'), { kind: 'data' });
  assert.equal(db.oneJson('SELECT').text, '{"id":1}');
});

test('a reader has no functions that write', () => {
  const db = new Reader(new FakeDatabase());
  for (const name of ['execute', 'executeBatch', 'savepoint', 'markRollback', 'afterCommit', 'afterRollback']) {
    assert.equal(db[name], undefined, name);
  }
  assert.ok(handle({ tag: 'writer', val: new FakeDatabase() }) instanceof Writer);
  assert.ok(!(handle({ tag: 'reader', val: new FakeDatabase() }) instanceof Writer));
  assert.equal(handle({ tag: 'none' }), undefined);
});

test('an error of a statement has the fields of the host', () => {
  const db = new Writer(new FakeDatabase({ ...unique, hint: 'choose another' }));
  const error = caught(() => db.execute('INSERT'));
  assert.ok(error instanceof DbError && error instanceof Error);
  assert.deepEqual([error.message, error.hint], ['UNIQUE constraint failed: items.name', 'choose another']);
  assert.match(describe(error), /^DbError: UNIQUE constraint failed: items.name; hint: choose another/);
  assert.deepEqual({ ...error.constraint }, unique.constraint);
  assert.ok(error.violates('unique') && !error.violates('check'));
  assert.equal(dbError(new Error('query failed', { cause: error })), error);
  assert.equal(dbError(new Error('other')), undefined);
});

test('only the named violation becomes a problem', async () => {
  const taken = () => Problem.conflict('taken');
  const failing = () => new Writer(new FakeDatabase(unique));
  assert.throws(() => onViolation('unique', taken, () => failing().execute('INSERT')), { status: 409 });
  assert.throws(() => onViolation('check', taken, () => failing().execute('INSERT')), DbError);
  await assert.rejects(onViolation('unique', taken, async () => failing().execute('INSERT')), { status: 409 });
  assert.equal(onViolation('unique', taken, () => 7), 7);
});

test('a savepoint is released or rolled back, and disposed', async () => {
  for (const [work, end] of [[() => 7, 'release'], [() => { throw new Error('no'); }, 'rollback']]) {
    for (const run of [work, async () => work()]) {
      const savepoint = new FakeDatabase();
      const db = new Writer(new FakeDatabase(savepoint));
      const done = async () => db.savepoint(run);
      if (end === 'release') assert.equal(await done(), 7);
      else await assert.rejects(done, /no/);
      assert.deepEqual(savepoint.calls, [[end]]);
      assert.ok(savepoint.isDisposed || Symbol.dispose === undefined);
    }
  }
});

test('actions are registered by name with a payload in JSON', () => {
  const raw = new FakeDatabase();
  const db = new Writer(raw);
  db.afterCommit({ name: 'mail' }, { to: 7 }, 'at-least-once');
  db.afterRollback({ name: 'note' });
  assert.deepEqual(raw.calls, [['afterCommit', 'mail', '{"to":7}', 'at-least-once'], ['afterRollback', 'note', 'null']]);
});

test('a handle ends with its call', () => {
  const db = new Reader(new FakeDatabase());
  db.end();
  assert.throws(() => db.all('SELECT'), /after the call that received it had ended/);
});

function caught(work) {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}
