// Responses of handlers.

import { Problem } from './problem.js';
import { setCookie } from './cookie.js';
import { toHost } from './values.js';

// Text that is JSON already, such as the rows of `Reader.allJson`.
export class JsonText {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }
}

export class HandlerResponse {
  #status;
  #headers = [];
  #body;

  constructor(status, body) {
    this.#status = status;
    this.#body = body;
  }

  get status() {
    return this.#status;
  }

  withStatus(status) {
    this.#status = status;
    return this;
  }

  withHeader(name, value) {
    this.#headers.push([name, String(value)]);
    return this;
  }

  withCookie(name, value, options) {
    return this.withHeader('set-cookie', setCookie(name, value, options));
  }

  withHeaders(headers = {}) {
    for (const [name, value] of Object.entries(headers)) this.withHeader(name, value);
    return this;
  }

  withoutBody() {
    this.#body = EMPTY;
    return this;
  }

  // Returns the response of the contract.
  toHost() {
    return { status: this.#status, headers: this.#headers, body: this.#body };
  }
}

const EMPTY = { tag: 'bytes', val: new Uint8Array() };

export function respond(status) {
  return new HandlerResponse(status, EMPTY);
}

export function json(value, status = 200) {
  return new HandlerResponse(status, { tag: 'json', val: jsonText(value) });
}

function jsonText(value) {
  if (value instanceof JsonText) return value.text;
  const text = JSON.stringify(value, bigInts);
  if (text === undefined) throw new TypeError(`a ${typeof value} cannot be sent as JSON`);
  return text;
}

// `JSON.stringify` refuses a bigint. It writes the digits of an integer that a number represents exactly, and a text for
// others, because most JSON parsers would round them.
function bigInts(_key, value) {
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

export function text(value, status = 200) {
  return new HandlerResponse(status, { tag: 'text', val: value });
}

export function bytes(value, status = 200) {
  return new HandlerResponse(status, { tag: 'bytes', val: value });
}

export function created(location, value) {
  return json(value, 201).withHeader('location', location);
}

export function noContent() {
  return respond(204);
}

export function redirect(location, { flash } = {}) {
  const response = respond(303).withHeader('location', location);
  return flash === undefined ? response : response.withCookie(FLASH, flash, { maxAge: 60 });
}

// Name of the cookie of `redirect(.., { flash })`.
export const FLASH = 'flash';

export function template(name, context) {
  return new HandlerResponse(200, { tag: 'template', val: { name, context: jsonText(context) } });
}

const rowsIn = (format) => (sql, params = []) => {
  const values = params.map((value, index) => toHost(value, index + 1, () => undefined));
  return new HandlerResponse(200, { tag: 'rows', val: { sql, params: values, format } });
};

export const rows = { json: rowsIn('json'), ndjson: rowsIn('ndjson'), csv: rowsIn('csv') };

// Returns the response for the result of a handler.
export function toResponse(value) {
  if (value instanceof HandlerResponse) return value;
  if (value instanceof Problem) return problem(value);
  if (value instanceof Uint8Array) return bytes(value);
  switch (typeof value) {
    case 'string':
      return text(value);
    case 'undefined':
      throw new TypeError('the handler returned nothing; return `noContent()` for a response without a body');
    default:
      return json(value);
  }
}

export function problem(problem) {
  return json(problem, problem.status).withHeaders({ 'content-type': 'application/problem+json', ...problem.headers });
}
