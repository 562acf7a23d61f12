import assert from 'node:assert/strict';
import { test } from 'node:test';

import { access, action, after, before, context, init, json, log, onError, onRoute, Problem, router, setIdentity } from '../src/index.js';
import * as entry from '../src/entry.js';
import { describeProgram } from '../src/program.js';
import { FakeDatabase, rows } from './fake/database.mjs';
import { host, reset } from './fake/host.mjs';

let hook;
onRoute((...args) => hook(...args));
before((...args) => hook(...args));
after((...args) => hook(...args));
onError((...args) => hook(...args));
init((db) => { db.execute('INSERT'); });
const seen = [];
const mail = action('mail', (db, payload, attempt) => { seen.push([payload, attempt]); });
router
  .get('/items/{id}', (req, db) => ({ id: req.intParam('id'), total: db.value('SELECT') }))
  .get('/late', async () => json('late'))
  .get('/broken', () => { throw new TypeError('broken', { cause: new Error('deeper') }); })
  .head('/late', () => 'head')
  .post('/items', (req, db) => { db.afterCommit(mail, 7, 'at-most-once'); return 'made'; })
  .post('/search', { transaction: 'read-only' }, () => 'found')
  .options('/items', () => 'free');

test('routes and exports are described', () => {
  assert.deepEqual(describeProgram(), {
    routes:
      'GET read-only /broken\nGET read-only /items/{id}\nGET read-only /late\nHEAD read-only /late\n' +
      'OPTIONS none /items\nPOST read-only /search\nPOST read-write /items\n',
    exports: [
      'read-controller', 'write-controller', 'plain-controller', 'on-route', 'before', 'after', 'on-error', 'model', 'actions',
    ],
  });
});

test('a route has its function', async () => {
  const raw = new FakeDatabase(rows(['n'], [{ tag: 'int64', val: 3n }]));
  reset({ route: '/items/{id}', params: [['id', '7']] });
  assert.equal(entry.readController.read(raw).body.val, '{"id":7,"total":3}');
  reset({ route: '/late' });
  assert.equal((await entry.readController.read(new FakeDatabase())).body.val, '"late"');
  reset({ route: '/late', method: 'HEAD' });
  assert.equal(entry.readController.read(new FakeDatabase()).body.val, 'head');
  reset({ route: '/items/{id}', method: 'HEAD', params: [['id', 'x']] });
  assert.equal(entry.readController.read(new FakeDatabase()).status, 404);
  reset({ route: '/items', method: 'POST' });
  assert.equal(entry.writeController.write(new FakeDatabase()).body.val, 'made');
  reset({ route: '/items', method: 'OPTIONS' });
  assert.equal(entry.plainController.plain().body.val, 'free');
  reset({ route: '/items', method: 'PATCH' });
  assert.throws(() => entry.writeController.write(new FakeDatabase()), textOf(/no function of this component serves/));
});

test('an error is thrown as a text with its stack and its cause', () => {
  reset({ route: '/broken' });
  const text = /^TypeError: broken\n {4}at .*entry\.test\.mjs:\d+[^]*\ncaused by: Error: deeper\n/;
  assert.throws(() => entry.readController.read(new FakeDatabase()), textOf(text));
});

test('a handle is disposed when its call ends', async () => {
  for (const [route, params] of [['/items/{id}', [['id', 'x']]], ['/late', []]]) {
    const raw = new FakeDatabase();
    reset({ route, params });
    await entry.readController.read(raw);
    assert.ok(raw.isDisposed || Symbol.dispose === undefined);
  }
});

test('hooks decide, respond and change the reply', () => {
  reset();
  hook = () => undefined;
  assert.deepEqual(entry.onRoute.onRoute(), { tag: 'proceed' });
  assert.equal(entry.before.before({ tag: 'none' }), undefined);
  assert.equal(entry.after.after({ tag: 'none' }), undefined);
  hook = () => access('read-only');
  assert.deepEqual(entry.onRoute.onRoute(), { tag: 'access', val: 'read-only' });
  hook = () => { throw Problem.forbidden('no'); };
  assert.equal(entry.onRoute.onRoute().val.status, 403);
  assert.equal(entry.before.before({ tag: 'none' }).status, 403);
  assert.throws(() => entry.after.after({ tag: 'none' }), textOf(/^Problem: no/));
  hook = (request, failure) => Problem.conflict(failure.code);
  assert.match(entry.onError.onError({ tag: 'none' }, { code: '1555' }).body.val, /"detail":"1555"/);
  hook = (request, reply, db) => {
    reply.setHeader('x-status', reply.status);
    assert.equal(db.value('SELECT'), 3);
    assert.throws(() => reply.setHeader('x', 'a\nb'), /contains a line break/);
  };
  entry.after.after({ tag: 'reader', val: new FakeDatabase(rows(['n'], [{ tag: 'int64', val: 3n }])) });
  assert.deepEqual(host.reply.headers, [['x-status', '200']]);
});

test('hooks set the identity and values', () => {
  reset();
  setIdentity('ann', { admin: true });
  assert.deepEqual([host.subject, host.claims], ['ann', { admin: true }]);
  assert.throws(() => setIdentity('bob'), /the identity is set already/);
  context.set('tenant', 'acme');
  assert.deepEqual([context.get('tenant'), context.get('other')], ['acme', undefined]);
});

test('an action has its payload and its delivery', () => {
  const delivery = { id: 'a1', name: 'mail', payload: '{"to":7}', outcome: 'commit', attempt: 2, requestId: 'r1' };
  entry.actions.run(delivery, new FakeDatabase());
  assert.deepEqual(seen, [[{ to: 7 }, { id: 'a1', number: 2, committed: true, requestId: 'r1' }]]);
  assert.throws(() => entry.actions.run({ ...delivery, name: 'x' }, new FakeDatabase()), textOf(/no action `x`/));
});

test('init writes', () => {
  const raw = new FakeDatabase({ rowsAffected: 1n, lastInsertId: 1n });
  entry.model.init(raw);
  assert.deepEqual(raw.calls, [['execute', 'INSERT', []]]);
});

test('the log shows values', () => {
  reset();
  const circle = { name: 'c', list: [1n] };
  circle.self = circle;
  log.info('a', 1, null, undefined, { b: [1], c: new Map([['x', 1]]) }, circle);
  assert.deepEqual(host.logged, [['info', 'a 1 null undefined {"b":[1],"c":[["x",1]]} {"name":"c","list":["1n"],"self":"[circular]"}']]);
});

// The exceptions of exports are texts, because those of the contract are.
function textOf(pattern) {
  return (error) => {
    assert.equal(typeof error, 'string');
    assert.match(error, pattern);
    return true;
  };
}
