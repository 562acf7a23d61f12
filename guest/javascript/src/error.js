// Errors of statements, and the text of an error for the log of the host.

import { engine } from './engine.js';
import { place } from './stack.js';
import { settle } from './settle.js';

export class DbError extends Error {
  constructor({ kind, code, message, retryable, constraint, detail, hint }) {
    super(message);
    this.name = 'DbError';
    this.kind = kind;
    this.code = code ?? undefined;
    this.retryable = retryable;
    this.constraint = constraint == null ? undefined : plain(constraint);
    this.detail = detail ?? undefined;
    this.hint = hint ?? undefined;
  }

  // Turns the exception of a call of the host, whose payload is a `db-error`, into a `DbError`. Returns other exceptions as
  // they are.
  static from(error) {
    const payload = error?.payload;
    return typeof payload?.kind === 'string' ? new DbError(payload) : error;
  }

  violates(kind) {
    return this.constraint?.kind === kind;
  }
}

function plain({ kind, name, table, columns }) {
  return { kind, name: name ?? undefined, table: table ?? undefined, columns };
}

// Returns the `DbError` of an error or of its causes. Object-relational mappers wrap it.
export function dbError(error) {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof DbError) return cause;
  }
  return undefined;
}

export function onViolation(kind, problem, work) {
  const failed = (error) => {
    throw dbError(error)?.violates(kind) ? problem(error) : error;
  };
  return settle(work, (value) => value, failed);
}

// Returns the text of an exception with its causes. The lines of the stack name the source files.
export function describe(error) {
  let text = one(error);
  const seen = new Set([error]);
  for (let cause = error?.cause; cause != null && !seen.has(cause); cause = cause.cause) {
    seen.add(cause);
    text += `\ncaused by: ${one(cause)}`;
  }
  return text;
}

function one(error) {
  // A failed function of the host throws an error whose payload is the error of the contract.
  const payload = error?.payload;
  if (typeof payload === 'string') return `${payload}${trace(error)}`;
  if (!(error instanceof Error)) return thrown(error);
  const hint = error instanceof DbError && error.hint !== undefined ? `; hint: ${error.hint}` : '';
  return `${error.name}: ${error.message}${hint}${remedy(error)}${trace(error)}`;
}

// Globals of other engines that QuickJS lacks.
const LACKS = /\b(fetch|setTimeout|setInterval|structuredClone|URL|URLSearchParams|Intl|Request|Response|Headers|AbortController)\b.* is not defined/;

function remedy(error) {
  const name = engine === 'quickjs' && error instanceof ReferenceError ? LACKS.exec(error.message)?.[1] : undefined;
  return name === undefined ? '' : `; QuickJS has no \`${name}\`: build with \`--engine starlingmonkey\``;
}

function trace(error) {
  const lines = place(error.stack);
  return lines.length === 0 ? '' : `\n${lines.join('\n')}`;
}

function thrown(value) {
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
