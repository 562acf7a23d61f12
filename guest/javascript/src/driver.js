// Values as drivers for Node.js have them, for object-relational mappers.

import { wholeNumber } from './values.js';

// Elements of arrays, which are texts in the text of the array.
const ELEMENTS = {
  BOOL: (text) => text === 't',
  INT2: Number,
  INT4: Number,
  INT8: (text) => wholeNumber(BigInt(text)),
  FLOAT4: Number,
  FLOAT8: Number,
  JSON: JSON.parse,
  JSONB: JSON.parse,
};

// Returns the result of a statement with its documents and arrays as values. Dates and decimal numbers remain texts, and on
// SQLite all texts do.
export function parsed(result, dialect) {
  if (dialect === 'sqlite') return result;
  const parsers = result.columns.map(({ typeName }) => parser(typeName));
  if (parsers.every((parse) => parse === undefined)) return result;
  const value = (cell, index) => (cell === null || parsers[index] === undefined ? cell : parsers[index](cell));
  return { ...result, rows: result.rows.map((row) => row.map(value)) };
}

function parser(typeName) {
  if (typeName === 'JSON' || typeName === 'JSONB') return JSON.parse;
  if (!typeName.endsWith('[]')) return undefined;
  const element = ELEMENTS[typeName.slice(0, -2)] ?? String;
  return (text) => parseArray(text, element);
}

// Braces, texts in quotes, and other texts.
const TOKEN = /[{}]|"(?:[^"\\]|\\.)*"|[^{},"]+/gs;

function parseArray(text, element) {
  const open = [[]];
  // Lower bounds such as `[0:1]=` come first.
  for (const [token] of text.slice(text.indexOf('{')).matchAll(TOKEN)) {
    if (token === '{') open.push([]);
    else if (token === '}') open.at(-2).push(open.pop());
    else if (token.startsWith('"')) open.at(-1).push(element(token.slice(1, -1).replace(/\\(.)/gs, '$1')));
    else open.at(-1).push(token === 'NULL' ? null : element(token));
  }
  return open[0][0];
}

// Returns a parameter of a mapper as the host accepts it.
export function parameter(value, dialect) {
  if (value instanceof Date && dialect !== 'sqlite') return moment(value, dialect);
  if (dialect !== 'postgresql') return value;
  if (Array.isArray(value)) return arrayText(value);
  return isPlain(value) ? JSON.stringify(value) : value;
}

function moment(date, dialect) {
  const text = date.toISOString();
  return dialect === 'mysql' ? text.slice(0, -1).replace('T', ' ') : text;
}

function isPlain(value) {
  return value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;
}

function arrayText(values) {
  const element = (value) => {
    if (value === null || value === undefined) return 'NULL';
    if (Array.isArray(value)) return arrayText(value);
    return `"${String(parameter(value, 'postgresql')).replace(/["\\]/g, '\\$&')}"`;
  };
  return `{${values.map(element).join(',')}}`;
}
