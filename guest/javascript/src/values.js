// SQL values as values of JavaScript.

import { ownBytes } from './bytes.js';
import { engine } from './engine.js';

const LARGEST = 2n ** 63n - 1n;

export class OtherValue {
  constructor(typeName, text) {
    this.typeName = typeName;
    this.text = text;
  }
}

export class Float64 {
  constructor(value) {
    this.value = value;
  }
}

export const other = (typeName, text) => new OtherValue(typeName, text);
export const float64 = (value) => new Float64(value);

// Returns the value of the contract for a parameter. `dialect` returns the dialect of the database, if it is known.
export function toHost(value, position, dialect) {
  switch (typeof value) {
    case 'string':
      return { tag: 'text', val: value };
    case 'number':
      return Number.isSafeInteger(value) ? { tag: 'int64', val: value } : { tag: 'float64', val: value };
    case 'boolean':
      return { tag: 'boolean', val: value };
    case 'bigint':
      return integer(value, position, dialect);
    case 'object':
      if (value === null) return { tag: 'null' };
      if (value instanceof Uint8Array) return { tag: 'bytes', val: value };
      if (value instanceof ArrayBuffer) return { tag: 'bytes', val: new Uint8Array(value) };
      if (value instanceof OtherValue) return { tag: 'other', val: { typeName: value.typeName, text: value.text } };
      if (value instanceof Float64) return { tag: 'float64', val: value.value };
  }
  throw new TypeError(`parameter ${position} is ${describe(value)}, which is not an SQL value; ${remedy(value)}`);
}

function integer(value, position, dialect) {
  if (value > LARGEST || value < -LARGEST - 1n) {
    const remedy = 'pass it as text, or as `other("NUMERIC", text)`';
    throw new RangeError(`parameter ${position} is ${value}, which does not fit into 64 bits; ${remedy}`);
  }
  const number = Number(value);
  if (Number.isSafeInteger(number)) return { tag: 'int64', val: number };
  if (engine !== 'quickjs') return { tag: 'int64', val: value };
  // QuickJS passes an integer of the contract as a number, which is not exact beyond 2^53. The text is exact. MySQL
  // would compare an integer and a text as floating-point numbers, but not an integer and a decimal number. PostgreSQL
  // uses an index of integers only for an integer.
  const typeName = dialect() === 'postgresql' ? 'INT8' : 'DECIMAL';
  return { tag: 'other', val: { typeName, text: String(value) } };
}

function describe(value) {
  if (value === undefined) return 'undefined';
  if (typeof value !== 'object') return `a ${typeof value}`;
  if (Array.isArray(value)) return 'an array';
  const name = Object.getPrototypeOf(value)?.constructor?.name ?? 'Object';
  return name === 'Object' ? 'an object' : `a ${name}`;
}

function remedy(value) {
  if (value === undefined) return 'pass null for NULL';
  if (value instanceof Date) return 'pass a text in the format of the column, such as date.toISOString()';
  if (typeof value === 'object') return 'pass JSON.stringify(value)';
  return 'pass null, a boolean, a number, a bigint, a text or a Uint8Array';
}

// Returns the value of JavaScript for a value of the contract. `column` names it in errors.
export function fromHost(value, column) {
  switch (value.tag) {
    case 'null':
      return null;
    case 'int64':
      return wholeNumber(value.val, column);
    case 'bytes':
      return ownBytes(value.val);
    case 'other':
      return value.val.text;
    default:
      return value.val;
  }
}

// Returns an integer as a number if a number represents it exactly, and otherwise as a bigint.
export function wholeNumber(value, column) {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  if (typeof value === 'bigint') return value;
  // QuickJS has rounded the integer before this library sees it.
  throw new RangeError(
    `the integer of column \`${column}\` is beyond 2^53, which QuickJS does not represent exactly; select it as text, ` +
      'such as CAST(.. AS CHAR(20)), or build with `--engine starlingmonkey`',
  );
}
