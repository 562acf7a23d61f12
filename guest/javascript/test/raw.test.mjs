// `src/raw.d.ts` has the typings of the bindings, generated from the WIT. `UPDATE_TYPINGS=1 npm test` writes it.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const HEAD = `/// <reference lib="esnext.disposable" />

// Typings of the bindings, which test/raw.test.mjs generates from the WIT.
`;

// The command of jco reads no folder of WIT in some versions, so the texts of all files become one package.
const transpile = dirname(createRequire(import.meta.url).resolve('@bytecodealliance/jco-transpile'));
const generator = await import(pathToFileURL(join(transpile, '../vendor/js-component-bindgen-component.js')));
await generator.$init;

function generated() {
  const folder = new URL('../wit/', import.meta.url);
  const texts = readdirSync(folder).sort().map((file) => readFileSync(new URL(file, folder), 'utf8'));
  const name = /^package .*;$/m;
  const source = [name.exec(texts[0])[0], ...texts.map((text) => text.replace(name, ''))].join('\n');
  const files = generator.generateTypes('carya', {
    wit: { tag: 'source', val: source },
    world: 'everything',
    guest: true,
    features: { tag: 'list', val: [] },
    tlaCompat: false,
  });
  const interfaces = files.filter(([name]) => name.startsWith('interfaces/')).sort(([one], [other]) => (one < other ? -1 : 1));
  const declarations = interfaces.map(([, text]) => new TextDecoder().decode(text).replace(/^\/\/\/ <reference path=.*\n/gm, ''));
  return HEAD + declarations.map((text) => `\n${text.trim()}\n`).join('');
}

test('the typings of the bindings are those of the WIT', () => {
  const file = new URL('../src/raw.d.ts', import.meta.url);
  if (process.env.UPDATE_TYPINGS === '1') writeFileSync(file, generated());
  assert.equal(readFileSync(file, 'utf8'), generated(), 'run `UPDATE_TYPINGS=1 npm test`');
});
