// Evaluates the program in Node.js, to learn its routes, hooks and actions.

import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { bundleForNode } from './bundle.mjs';
import { BuildError } from './error.mjs';

export async function evaluate(source, folder) {
  const result = join(folder, 'program.json');
  const script = join(folder, 'program.mjs');
  await writeFile(script, await bundleForNode(source, script, result));
  const { code, errors } = await run(['--enable-source-maps', script]);
  if (code !== 0) throw new BuildError(`the program fails when it is loaded:\n${clean(errors)}`);
  return JSON.parse(await readFile(result, 'utf8'));
}

// Leaves the frames of Node.js out of the text of an exception.
function clean(errors) {
  const lines = errors.split('\n').filter((line) => !/^\s+at .*\bnode:internal|^Node\.js v/.test(line));
  return lines.join('\n').trim();
}

function run(args) {
  return new Promise((resolve, reject) => {
    // The output of the program is shown at once, and an exception with the message of the build.
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk) => { errors += chunk; });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, errors }));
  });
}
