import assert from 'node:assert/strict';
import { test } from 'node:test';

import { etag, tagged } from '../src/etag.js';
import { HandlerRequest } from '../src/request.js';
import {
  JsonText, bytes, created, json, noContent, redirect, respond, rows, template, toResponse,
} from '../src/response.js';
import { reset } from './fake/host.mjs';

const parts = (value) => toResponse(value).toHost();

test('results of handlers are responses', () => {
  for (const [result, status, body] of [
    ['text', 200, { tag: 'text', val: 'text' }],
    [{ a: 1 }, 200, { tag: 'json', val: '{"a":1}' }],
    [[1, null], 200, { tag: 'json', val: '[1,null]' }],
    [null, 200, { tag: 'json', val: 'null' }],
    [{ small: 7n, big: 2n ** 60n }, 200, { tag: 'json', val: '{"small":7,"big":"1152921504606846976"}' }],
    [new JsonText('[ 1 ]'), 200, { tag: 'json', val: '[ 1 ]' }],
    [Uint8Array.of(1), 200, { tag: 'bytes', val: Uint8Array.of(1) }],
    [bytes(Uint8Array.of(1), 201), 201, { tag: 'bytes', val: Uint8Array.of(1) }],
    [noContent(), 204, { tag: 'bytes', val: new Uint8Array() }],
    [template('a.html', { x: 1 }), 200, { tag: 'template', val: { name: 'a.html', context: '{"x":1}' } }],
    [rows.csv('SELECT ?', ['a']), 200, { tag: 'rows', val: { sql: 'SELECT ?', params: [{ tag: 'text', val: 'a' }], format: 'csv' } }],
  ]) {
    const response = parts(result);
    assert.deepEqual([response.status, response.body], [status, body]);
  }
  assert.throws(() => parts(undefined), /returned nothing; return `noContent\(\)`/);
  assert.throws(() => parts(() => 1), /a function cannot be sent as JSON/);
});

test('a created object has its place', () => {
  const { status, headers, body } = parts(created('/t/1', [1]));
  assert.deepEqual([status, headers, body.val], [201, [['location', '/t/1']], '[1]']);
});

test('a redirect carries a message, which the page forgets', () => {
  const { status, headers } = parts(redirect('/report', { flash: "Größe; it's ok" }));
  const cookie = "flash=Gr%C3%B6%C3%9Fe%3B%20it%27s%20ok; Path=/; Max-Age=60; HttpOnly; SameSite=Lax";
  assert.deepEqual([status, headers], [303, [['location', '/report'], ['set-cookie', cookie]]]);
  reset({ cookies: { flash: 'x' } });
  const deleted = 'flash=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax';
  assert.deepEqual(parts(new HandlerRequest().forgetFlash('page')).headers, [['set-cookie', deleted]]);
  reset();
  assert.deepEqual(parts(new HandlerRequest().forgetFlash('page')).headers, []);
});

test('cookies and headers are added', () => {
  const response = respond(200).withCookie('theme', 'dark', { maxAge: 3600, secure: true, path: '/a' }).withHeader('x-count', 7);
  const cookie = 'theme=dark; Path=/a; Max-Age=3600; HttpOnly; SameSite=Lax; Secure';
  assert.deepEqual(parts(response).headers, [['set-cookie', cookie], ['x-count', '7']]);
});

test('entity tags are quoted and compared', () => {
  assert.equal(etag('2026-11-29 07:00"ä'), '"2026-11-29_07:00__"');
  for (const [held, method, status] of [
    ['"7"', 'GET', 304],
    ['"a", W/"7"', 'HEAD', 304],
    ['*', 'GET', 304],
    ['"6"', 'GET', 200],
    [undefined, 'GET', 200],
    ['"7"', 'PUT', 200],
  ]) {
    reset({ method, headers: { 'if-none-match': held } });
    const response = parts(tagged(7, json({})));
    assert.deepEqual([response.status, response.headers], [status, [['etag', '"7"']]], held);
    assert.equal(response.body.val.length, status === 304 ? 0 : 2);
  }
});
