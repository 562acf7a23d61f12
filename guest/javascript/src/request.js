// The request. The host copies a part of it into the memory of the guest only when a function returns it.

import * as identity from 'carya:host/identity@0.2.0';
import * as request from 'carya:host/request@0.2.0';
import { ownBytes } from './bytes.js';
import { decode } from './cookie.js';
import { checkVersion } from './etag.js';
import { Form, formProblem, fromPairs } from './form.js';
import { isJson, parseJson } from './json.js';
import { Problem } from './problem.js';
import { FLASH, toResponse } from './response.js';
import { validate } from './schema.js';

export class HandlerRequest {
  #params;

  get method() { return request.method(); }
  get path() { return request.path(); }
  get route() { return request.route() ?? undefined; }
  get queryString() { return request.queryString(); }
  get scheme() { return request.scheme(); }
  get authority() { return request.authority() ?? undefined; }
  get clientAddress() { return request.clientAddress() ?? undefined; }
  get id() { return request.id(); }

  get params() {
    this.#params ??= Object.fromEntries(request.params());
    return this.#params;
  }

  intParam(name) {
    const number = whole(this.params[name]);
    if (number === undefined) throw Problem.notFound('there is nothing at this path');
    return number;
  }

  query(name) {
    return request.query(name) ?? undefined;
  }

  queryAll(name) {
    return request.queryAll(name);
  }

  validQuery(schema) {
    const pairs = queryNames().flatMap((name) => request.queryAll(name).map((value) => [name, value]));
    return validate(schema, fromPairs(pairs));
  }

  header(name) {
    return request.header(name) ?? undefined;
  }

  cookie(name) {
    const value = request.cookie(name);
    return value == null ? undefined : decode(value);
  }

  bytes() {
    return ownBytes(request.body());
  }

  text() {
    try {
      return request.bodyText();
    } catch {
      throw Problem.badRequest('the body is not UTF-8');
    }
  }

  json(schema) {
    if (!isJson(request.header('content-type') ?? '')) {
      throw new Problem(415, 'send JSON with the header `content-type: application/json`');
    }
    const text = this.text();
    let value;
    try {
      value = parseJson(text);
    } catch (error) {
      throw Problem.badRequest(`the body is not JSON: ${error.message}`);
    }
    return schema === undefined ? value : validate(schema, value);
  }

  form(schema) {
    let fields;
    try {
      fields = request.form();
    } catch (error) {
      if (error?.payload === undefined) throw error;
      throw formProblem(error.payload);
    }
    const form = new Form(fields);
    return schema === undefined ? form : form.validate(schema);
  }

  get identity() {
    const subject = identity.subject();
    return subject == null ? undefined : { subject, claim, claims };
  }

  requireIdentity() {
    const found = this.identity;
    if (found === undefined) throw Problem.unauthorized('this needs an identity');
    return found;
  }

  checkVersion(version) {
    checkVersion(this.header('if-match'), version, false);
  }

  requireVersion(version) {
    checkVersion(this.header('if-match'), version, true);
  }

  get flash() {
    return this.cookie(FLASH);
  }

  forgetFlash(value) {
    const response = toResponse(value);
    return this.flash === undefined ? response : response.withCookie(FLASH, '', { maxAge: 0 });
  }
}

function claim(name) {
  const json = identity.claim(name);
  return json == null ? undefined : JSON.parse(json);
}

function claims() {
  return JSON.parse(identity.claims() ?? '{}');
}

// Returns a whole number that a number of JavaScript represents exactly. The text may have a sign, and spaces around it.
function whole(text) {
  const number = /^\s*[+-]?[0-9]+\s*$/.test(text ?? '') ? Number(text) : NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}

// Returns the names of the query parameters. The host decodes the values, because QuickJS lacks `URLSearchParams`.
function queryNames() {
  const names = request.queryString().split('&').map((pair) => decode(pair.split('=')[0].replaceAll('+', ' ')));
  return [...new Set(names)];
}
