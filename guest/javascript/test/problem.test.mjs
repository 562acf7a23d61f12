import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Checks, Problem } from '../src/problem.js';
import { problem } from '../src/response.js';

const body = (error) => problem(error).toHost().body.val;

test('members are in a fixed order', () => {
  const error = new Problem(409, '"ä"\n', {
    type: 'https://example.org/taken',
    title: 'Name taken',
    errors: { name: 'is taken', tag: 'is empty' },
    members: { by: 7 },
  });
  assert.equal(
    body(error),
    '{"detail":"\\"ä\\"\\n","errors":{"name":"is taken","tag":"is empty"},"status":409,"title":"Name taken",' +
      '"type":"https://example.org/taken","by":7}',
  );
  assert.equal(body(new Problem(418)), '{"status":418,"title":"Error"}');
});

test('a problem is a response with its headers', () => {
  const error = new Problem(401, 'log in', { headers: { 'www-authenticate': 'Basic' } });
  const { status, headers } = problem(error).toHost();
  assert.equal(status, 401);
  assert.deepEqual(headers, [['content-type', 'application/problem+json'], ['www-authenticate', 'Basic']]);
});

test('checks report the first rule of each field', () => {
  const checks = new Checks().check('title', true, 'must not be empty').check('page', false, 'is low').check('page', false, 'is odd');
  assert.throws(() => checks.finish(), { status: 422, errors: { page: 'is low' } });
  new Checks().check('title', true, 'must not be empty').finish();
});
