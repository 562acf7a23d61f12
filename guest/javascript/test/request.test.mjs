import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import * as v from 'valibot';

import { isJson, parseJson } from '../src/json.js';
import { HandlerRequest } from '../src/request.js';
import { reset } from './fake/host.mjs';

const text = (value) => new TextEncoder().encode(value);
const json = { 'content-type': 'application/json' };

function request(changes) {
  reset(changes);
  return new HandlerRequest();
}

test('parameters are texts, or whole numbers', () => {
  const req = request({ params: [['id', '-7'], ['sign', ' +7 '], ['name', 'a/b'], ['big', '9007199254740993']] });
  assert.deepEqual(req.params, { id: '-7', sign: ' +7 ', name: 'a/b', big: '9007199254740993' });
  assert.deepEqual([req.intParam('id'), req.intParam('sign')], [-7, 7]);
  for (const name of ['name', 'big', 'other']) assert.throws(() => req.intParam(name), { status: 404 });
});

test('a schema reads the query', () => {
  const search = v.object({ tag: v.array(v.string()), page: v.optional(v.pipe(v.string(), v.digits(), v.transform(Number)), '1') });
  assert.deepEqual(request({ query: 'tag=a&tag=b%20+c&page=2' }).validQuery(search), { tag: ['a', 'b  c'], page: 2 });
  assert.throws(() => request({ query: 'page=x' }).validQuery(search), (problem) => {
    assert.equal(problem.status, 422);
    assert.equal(problem.errors.tag, 'is missing');
    assert.match(problem.errors.page, /Invalid digits/);
    return true;
  });
  // Bytes that are not UTF-8 are replaced, as by the host.
  assert.deepEqual(request({ query: 'tag=a%FF%zz&tag=' }).validQuery(search), { tag: ['a\ufffd%zz', ''], page: 1 });
  // A parameter with the name of a member of every object.
  assert.equal(request({ query: 'toString=1' }).validQuery(v.object({ toString: v.string() })).toString, '1');
});

test('JSON has a media type, and malformed JSON is another problem than unexpected JSON', () => {
  const draft = v.object({ title: v.string() });
  const read = (body, headers = json) => request({ body: text(body), headers }).json(draft);
  assert.deepEqual(read('{"title":"x"}'), { title: 'x' });
  for (const [body, headers, status] of [
    ['{}', { 'content-type': 'text/plain' }, 415],
    ['{}', {}, 415],
    ['{', json, 400],
    ['{"title":"\\ud800"}', json, 400],
    ['{"title":7}', json, 422],
    ['[]', json, 422],
  ]) {
    assert.throws(() => read(body, headers), { status }, body);
  }
  assert.throws(() => request({ body: Uint8Array.of(0xff), headers: json }).json(), { status: 400 });
});

test('media types of JSON', () => {
  for (const [type, expected] of [
    ['application/json', true],
    ['Application/JSON; charset=utf-8', true],
    ['application/merge-patch+json', true],
    ['text/plain', false],
    ['', false],
  ]) {
    assert.equal(isJson(type), expected, type);
  }
});

test('JSON is parsed strictly', { skip: ''.isWellFormed ? false : 'this Node.js has no String.prototype.isWellFormed' }, () => {
  assert.deepEqual(parseJson('{"a":[1e2,"\\ud83c\\udf30"]}'), { a: [100, '🌰'] });
  for (const wrong of ['{"a":"\\ud800"}', '{"\\udc00":1}', '[1e400]', `[${'9'.repeat(400)}]`]) {
    assert.throws(() => parseJson(wrong), SyntaxError, wrong);
  }
});

test('texts and files of a form are kept apart', () => {
  const field = (name, value, fileName) => ({ name, value: text(value), fileName, contentType: undefined });
  const req = request({ form: [field('photo', 'ä%41'), field('photo', 'one', '1.png'), field('photo', 'two', '2.png')] });
  const form = req.form();
  assert.equal(form.text('photo'), 'ä%41');
  assert.deepEqual(form.file('photo'), { name: '1.png', contentType: undefined, content: text('one') });
  assert.equal(form.files('photo').length, 2);
  assert.equal(form.file('other'), undefined);
  assert.deepEqual({ ...form.toObject() }, { photo: 'ä%41' });
  assert.throws(() => req.form(v.object({ text: v.string() })), { status: 422, errors: { text: 'is missing' } });
});

test('malformed forms are problems', () => {
  for (const [form, status] of [[{ tag: 'not-a-form' }, 415], [{ tag: 'malformed', val: 'x' }, 400], [{ tag: 'limit', val: 'x' }, 413]]) {
    assert.throws(() => request({ form }).form(), { status });
  }
  const broken = [{ name: 'a', value: Uint8Array.of(0xff), fileName: undefined, contentType: undefined }];
  assert.throws(() => request({ form: broken }).form(), { status: 400, detail: 'the field `a` is not UTF-8' });
});

test('cookies are decoded, unless the result is not UTF-8', () => {
  const encoded = [['Gr%C3%B6%c3%9Fe', 'Größe'], ['100%', '100%'], ['%2', '%2'], ['%zz', '%zz'], ['', '']];
  for (const [value, expected] of [...encoded, ['%41%ff', '%41%ff'], ['%41 %ff', '%41 %ff']]) {
    assert.equal(request({ cookies: { theme: value } }).cookie('theme'), expected);
  }
  assert.equal(request({}).cookie('theme'), undefined);
});

test('an identity is optional or required', () => {
  assert.equal(request({}).identity, undefined);
  assert.throws(() => request({}).requireIdentity(), { status: 401 });
  const { subject, claim, claims } = request({ subject: 'ann', claims: { roles: ['admin'] } }).requireIdentity();
  assert.deepEqual([subject, claim('roles'), claim('age'), claims()], ['ann', ['admin'], undefined, { roles: ['admin'] }]);
});

test('a change of an old version is refused', () => {
  const status = (header, isRequired) => {
    const req = request({ headers: header === undefined ? {} : { 'if-match': header } });
    try {
      return isRequired ? req.requireVersion(7) : req.checkVersion(7);
    } catch (problem) {
      return problem.status;
    }
  };
  assert.deepEqual(
    [status('"7"'), status('"6"'), status(), status(undefined, true), status('W/"7"', true), status('*', true)],
    [undefined, 412, undefined, 428, 412, undefined],
  );
});

test('bytes of another realm become bytes of the program', () => {
  const value = runInNewContext('Uint8Array.of(1, 2)');
  const sent = request({ body: value, form: [{ name: 'photo', value, fileName: '1.png', contentType: undefined }] });
  assert.deepEqual(sent.bytes(), Uint8Array.of(1, 2));
  assert.deepEqual(sent.form().file('photo').content, Uint8Array.of(1, 2));
});
