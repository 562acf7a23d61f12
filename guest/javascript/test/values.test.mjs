import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';

import { float64, fromHost, other, toHost } from '../src/values.js';

const dialect = () => 'sqlite';

test('every type has its value', () => {
  for (const [value, expected] of [
    [null, { tag: 'null' }],
    [true, { tag: 'boolean', val: true }],
    [7, { tag: 'int64', val: 7 }],
    [-0.5, { tag: 'float64', val: -0.5 }],
    [1e300, { tag: 'float64', val: 1e300 }],
    [float64(7), { tag: 'float64', val: 7 }],
    [7n, { tag: 'int64', val: 7 }],
    [2n ** 63n - 1n, { tag: 'int64', val: 2n ** 63n - 1n }],
    [-(2n ** 63n), { tag: 'int64', val: -(2n ** 63n) }],
    ['é', { tag: 'text', val: 'é' }],
    [Uint8Array.of(1), { tag: 'bytes', val: Uint8Array.of(1) }],
    [Uint8Array.of(1).buffer, { tag: 'bytes', val: Uint8Array.of(1) }],
    [other('NUMERIC', '1.50'), { tag: 'other', val: { typeName: 'NUMERIC', text: '1.50' } }],
  ]) {
    assert.deepEqual(toHost(value, 1, dialect), expected);
  }
});

test('values without a type of SQL are refused with a remedy', () => {
  for (const [value, message] of [
    [undefined, /parameter 2 is undefined.*pass null/],
    [new Date(0), /parameter 2 is a Date.*toISOString/],
    [{ a: 1 }, /parameter 2 is an object.*JSON\.stringify/],
    [[1], /parameter 2 is an array.*JSON\.stringify/],
    [() => 1, /parameter 2 is a function/],
    [2n ** 63n, /parameter 2 is 9223372036854775808, which does not fit into 64 bits/],
  ]) {
    assert.throws(() => toHost(value, 2, dialect), message);
  }
});

test('integers of a result are exact', () => {
  const read = (val) => fromHost({ tag: 'int64', val }, 'id');
  assert.equal(read(7n), 7);
  assert.equal(read(7), 7);
  assert.equal(read(2n ** 53n + 1n), 2n ** 53n + 1n);
  // QuickJS passes an integer as a number, which may be rounded.
  assert.throws(() => read(2 ** 53), /column `id` is beyond 2\^53/);
});

test('other values of a result are as the host sends them', () => {
  for (const [value, expected] of [
    [{ tag: 'null' }, null],
    [{ tag: 'boolean', val: false }, false],
    [{ tag: 'float64', val: 0.5 }, 0.5],
    [{ tag: 'text', val: '' }, ''],
    [{ tag: 'bytes', val: Uint8Array.of(1) }, Uint8Array.of(1)],
    [{ tag: 'other', val: { typeName: 'NUMERIC', text: '1.50' } }, '1.50'],
  ]) {
    assert.deepEqual(fromHost(value, 'x'), expected);
  }
});

test('bytes of another realm become bytes of the program', () => {
  const val = runInNewContext('new Uint8Array([0, 1, 2, 3]).subarray(1, 3)');
  const bytes = fromHost({ tag: 'bytes', val }, 'x');
  assert.deepEqual(bytes, Uint8Array.of(1, 2));
  assert.deepEqual(toHost(bytes, 1, dialect), { tag: 'bytes', val: Uint8Array.of(1, 2) });
});
