import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as esbuild from 'esbuild';

import { table } from '../build/lines.mjs';
import { appendSection } from '../build/section.mjs';
import { worldText } from '../build/world.mjs';
import { placeWith } from '../src/stack.js';
import { validate } from '../src/schema.js';

let folder;
before(async () => { folder = await mkdtemp(join(tmpdir(), 'carya-guest-test-')); });
after(() => rm(folder, { recursive: true }));

test('a custom section is appended', () => {
  const component = Buffer.from('\0asm');
  assert.deepEqual(appendSection(component, 'ab', 'text'), Buffer.from('\0asm\0\x07\x02abtext'));
  const long = appendSection(component, 'ab', 'x'.repeat(200));
  assert.deepEqual([...long.subarray(4, 9)], [0, 0xcb, 0x01, 2, 0x61]);
});

test('a world has the interfaces that the program uses', () => {
  const text = worldText(['carya:host/log@0.2.0'], ['before', 'actions']);
  const lines = ['import carya:host/log@0.2.0;', 'export carya:host/before@0.2.0;', 'export carya:host/actions@0.2.0;'];
  assert.equal(text, `package carya:guest;\n\nworld guest {\n${lines.map((line) => `    ${line}\n`).join('')}}\n`);
});

test('every line of the bundle has its place in the source', async () => {
  const source = join(folder, 'program.ts');
  const text = Array.from({ length: 40 }, (_, index) => {
    return index % 3 === 0 ? `// comment ${index}\ninterface I${index} { a: number }` : `console.log('mark-${index}');`;
  }).join('\n');
  await writeFile(source, text);
  const { outputFiles } = await esbuild.build({
    entryPoints: [source], bundle: true, format: 'esm', write: false, sourcemap: 'external', outfile: join(folder, 'out.js'),
  });
  const [map, code] = ['.map', '.js'].map((end) => outputFiles.find(({ path }) => path.endsWith(end)).text);
  const lines = table(JSON.parse(map));
  const bundled = code.split('\n');
  let found = 0;
  for (const [index, line] of text.split('\n').entries()) {
    const mark = /mark-\d+/.exec(line)?.[0];
    if (mark === undefined) continue;
    const place = bundled.findIndex((candidate) => candidate.includes(`"${mark}"`)) + 1;
    assert.deepEqual(placeWith(lines, `work@guest.js:${place}:3`), [`    at work (program.ts:${index + 1})`], mark);
    found += 1;
  }
  assert.equal(found, 26);
});

test('stacks of all engines are read', () => {
  const lines = { sources: 'src/notes.ts', runs: '1,-1,0;9,0,3;a,-1,0' };
  for (const [stack, expected] of [
    ['Error: x\n    at deep (file:///guest.js:12:5)\n    at file:///guest.js:10:1', ['    at deep (src/notes.ts:5)', '    at src/notes.ts:3']],
    ['deep@guest.js:12:5\n@guest.js:11:2\nhidden@guest.js:25:1', ['    at deep (src/notes.ts:5)', '    at src/notes.ts:4']],
    ['    at deep (guest.js:12:5)\n    at call (native)\n    at <anonymous> (guest.js:9)', ['    at deep (src/notes.ts:5)']],
    [undefined, []],
  ]) {
    assert.deepEqual(placeWith(lines, stack), expected);
  }
});

test('issues of a schema name fields', () => {
  const schema = (issues) => ({ '~standard': { version: 1, vendor: 'test', validate: () => ({ issues }) } });
  for (const [issues, expected] of [
    [[{ message: 'is odd', path: ['a', { key: 'b' }] }, { message: 'other', path: ['a', 'b'] }], { 'a.b': 'is odd' }],
    [[{ message: 'x', path: ['a', 'c'] }], { 'a.c': 'is missing' }],
    [[{ message: 'x', path: ['d', 'e'] }], { 'd.e': 'x' }],
  ]) {
    assert.throws(() => validate(schema(issues), { a: { b: 1 } }), { status: 422, errors: expected });
  }
  assert.throws(() => validate(schema([{ message: 'must be an object' }]), 7), { status: 422, detail: 'must be an object', errors: undefined });
  const late = { '~standard': { validate: async () => ({ value: 1 }) } };
  assert.throws(() => validate(late, 7), /asynchronously/);
});
