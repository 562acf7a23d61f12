import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

function check(folder) {
  const path = fileURLToPath(new URL(folder, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', path], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
}

test('the typings accept and refuse what they should', () => check('typings'));
for (const example of ['items-ts', 'tickets-ts', 'orders-drizzle', 'orders-kysely']) {
  test(`the example ${example} has no type errors`, () => check(`../../../guest-examples/${example}`));
}
