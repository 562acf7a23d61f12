// The promises of QuickJS, which have a queue of their own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import OwnPromise from 'promise-polyfill';

import { queue } from '../src/quickjs/jobs.js';

const { finish } = await import('../src/quickjs/runtime.js');
const { random } = await import('../src/quickjs/random.js');
OwnPromise._immediateFn = queue;

test('a settled promise is its value or its error', () => {
  assert.equal(finish(7), 7);
  assert.equal(finish(OwnPromise.resolve(1).then((n) => OwnPromise.resolve(n + 1)).finally(() => 9)), 2);
  assert.throws(() => finish(OwnPromise.reject(new TypeError('no'))), TypeError);
  assert.throws(() => finish(new OwnPromise(() => {})), (error) => error === 'the promise that the function returned is never settled');
});

test('all jobs of a call run', () => {
  const seen = [];
  OwnPromise.resolve().then(() => seen.push('unawaited')).then(() => seen.push('chained'));
  finish('result');
  assert.deepEqual(seen, ['unawaited', 'chained']);
});

test('random numbers are spread over the unit interval', () => {
  const numbers = Array.from({ length: 10_000 }, random);
  const mean = numbers.reduce((sum, n) => sum + n) / numbers.length;
  assert.ok(Math.abs(mean - 0.5) < 0.02, `the mean is ${mean}`);
  assert.ok(numbers.every((n) => n >= 0 && n < 1) && new Set(numbers).size === numbers.length);
});
