// The handles of the database.

import { DbError } from './error.js';
import { JsonText } from './response.js';
import { settle } from './settle.js';
import { fromHost, toHost, wholeNumber } from './values.js';

export class Reader {
  #raw;

  constructor(raw) {
    this.#raw = raw;
  }

  get raw() {
    if (this.#raw === null) throw new Error('this handle of the database was used after the call that received it had ended');
    return this.#raw;
  }

  get dialect() {
    return this.raw.dialect();
  }

  all(sql, params = []) {
    const { columns, rows } = this.#call('query', sql, params);
    return rows.map((values) => row(columns, values));
  }

  // Not `query-one`, which returns no names of columns.
  first(sql, params = []) {
    const { columns, rows } = this.#call('query', sql, params);
    return rows.length === 0 ? undefined : row(columns, rows[0]);
  }

  one(sql, params = []) {
    return this.first(sql, params) ?? none(sql);
  }

  value(sql, params = []) {
    const { columns, rows } = this.#call('query', sql, params);
    if (rows.length === 0) return undefined;
    only(columns);
    return fromHost(rows[0][0], columns[0].name);
  }

  values(sql, params = []) {
    const { columns, rows } = this.#call('query', sql, params);
    only(columns);
    return rows.map(([value]) => fromHost(value, columns[0].name));
  }

  allJson(sql, params = []) {
    return new JsonText(this.#call('queryJson', sql, params));
  }

  firstJson(sql, params = []) {
    const text = this.#call('queryOneJson', sql, params);
    return text == null ? undefined : new JsonText(text);
  }

  oneJson(sql, params = []) {
    return this.firstJson(sql, params) ?? none(sql);
  }

  run(sql, params = []) {
    const { columns, rows, rowsAffected, lastInsertId } = this.#call('run', sql, params);
    return {
      columns,
      rows: rows.map((values) => values.map((value, index) => fromHost(value, columns[index].name))),
      rowsAffected: Number(rowsAffected),
      lastInsertId: lastInsertId == null ? null : wholeNumber(lastInsertId, 'last-insert-id'),
    };
  }

  // Ends the handle with the call that received it. Without this, an instance that serves many requests would keep all
  // handles until the engine collects its garbage.
  end() {
    const raw = this.#raw;
    this.#raw = null;
    raw?.[Symbol.dispose]?.();
  }

  #call(name, sql, params) {
    return call(this.raw, name, sql, this.params(params));
  }

  params(params) {
    if (!Array.isArray(params)) throw new TypeError('the parameters of a statement are an array: [id], or [] for none');
    return params.map((value, index) => toHost(value, index + 1, () => this.dialect));
  }
}

export class Writer extends Reader {
  execute(sql, params = []) {
    const { rowsAffected, lastInsertId } = call(this.raw, 'execute', sql, this.params(params));
    return {
      rowsAffected: Number(rowsAffected),
      lastInsertId: lastInsertId == null ? null : wholeNumber(lastInsertId, 'last-insert-id'),
    };
  }

  executeBatch(sql, rows) {
    return Number(call(this.raw, 'executeBatch', sql, rows.map((params) => this.params(params))));
  }

  savepoint(work) {
    const savepoint = call(this.raw, 'savepoint');
    const close = (end) => {
      try {
        call(savepoint, end);
      } finally {
        // At most 16 savepoints may be open, and the engine collects none of them in time.
        savepoint[Symbol.dispose]?.();
      }
    };
    const done = (value) => {
      close('release');
      return value;
    };
    const failed = (error) => {
      close('rollback');
      throw error;
    };
    return settle(work, done, failed);
  }

  markRollback() {
    this.raw.markRollback();
  }

  afterCommit(action, payload, delivery) {
    call(this.raw, 'afterCommit', action.name, JSON.stringify(payload ?? null), delivery);
  }

  afterRollback(action, payload) {
    call(this.raw, 'afterRollback', action.name, JSON.stringify(payload ?? null));
  }
}

// Returns the handle of a hook.
export function handle({ tag, val }) {
  if (tag === 'none') return undefined;
  return tag === 'writer' ? new Writer(val) : new Reader(val);
}

function call(raw, name, ...args) {
  try {
    return raw[name](...args);
  } catch (error) {
    throw DbError.from(error);
  }
}

function row(columns, values) {
  const object = {};
  for (let index = 0; index < columns.length; index += 1) {
    const { name } = columns[index];
    const value = fromHost(values[index], name);
    // An assignment to `__proto__` would set the prototype.
    if (name === '__proto__') Object.defineProperty(object, name, { value, configurable: true, enumerable: true, writable: true });
    else object[name] = value;
  }
  return object;
}

function only(columns) {
  if (columns.length !== 1) throw new TypeError(`expected rows with one column, but they have ${columns.length}`);
}

function none(sql) {
  throw new DbError({ kind: 'data', message: `the query returned no row: ${sql.slice(0, 200)}`, retryable: false });
}
