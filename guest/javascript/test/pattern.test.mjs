import assert from 'node:assert/strict';
import { test } from 'node:test';

import { checkPattern } from '../src/pattern.js';
import { addAction, addHook, addRoute } from '../src/program.js';

test('patterns are checked', () => {
  for (const pattern of ['/', '/tickets', '/a/{id}/b/{*rest}', '/{{literal}}/{id}']) checkPattern(pattern);
  for (const [pattern, message] of [
    ['tickets', 'begins with a slash'],
    ['/a b', 'no white space'],
    ['/tickets/:id', '`{id}` instead of `:id`'],
    ['/tickets/{id', 'not closed'],
    ['/tickets/id}', 'not closed'],
    ['/tickets/{}', 'needs a name'],
    ['/{*rest}/x', 'must be the last part'],
    ['/{id}/{id}', 'two parameters `id`'],
    [7, 'a pattern is a text'],
  ]) {
    assert.throws(() => checkPattern(pattern), (error) => error.message.includes(message), String(pattern));
  }
});

test('a second function for the same thing is refused', () => {
  const work = () => 'x';
  addRoute('GET', '/a', work);
  assert.throws(() => addRoute('GET', '/a', work, { transaction: 'none' }), /GET \/a has a function already/);
  assert.throws(() => addRoute('GET', '/b', work, { transaction: 'readonly' }), /transaction is "read-only"/);
  assert.throws(() => addRoute('GET', '/b'), /has no function/);
  addHook('before', work);
  assert.throws(() => addHook('before', work), /one function for `before`/);
  addAction('mail', work);
  assert.throws(() => addAction('mail', work), /two actions mail/);
});
