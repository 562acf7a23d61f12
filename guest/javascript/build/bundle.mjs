// Bundles a program and this library into one file.

import { readFile, readdir } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

import { BuildError } from './error.mjs';
import { lineTable } from './lines.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const SRC = join(PACKAGE, 'src/');
const FETCH = join(SRC, 'fetch.js');
const HOST = /^(carya|wasi):/;

// Exports of `src/entry.js` by the interface of the contract.
const EXPORTS = {
  'read-controller': 'readController',
  'write-controller': 'writeController',
  'plain-controller': 'plainController',
  'on-route': 'onRoute',
  before: 'before',
  after: 'after',
  'on-error': 'onError',
  model: 'model',
  actions: 'actions',
  reseed: 'reseed',
};

// Returns the path of a module of this library as a literal.
const literal = (file) => JSON.stringify(join(SRC, file));

// Returns the code for an engine, the interfaces of the host that it imports, and whether it uses `fetch`.
export async function bundle(source, engine, exports) {
  const names = exports.map((name) => EXPORTS[name]).join(', ');
  const entry = [
    `import ${literal(`${engine.name}/prelude.js`)};`,
    `import ${JSON.stringify(source)};`,
    `export { ${names} } from ${literal('entry.js')};`,
  ].join('\n');
  const { outputFiles, metafile } = await run(source, entry, {
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['worker', 'import', 'default'],
    target: 'es2022',
    supported: engine.supported,
    define: { CARYA_ENGINE: JSON.stringify(engine.name), 'process.env.NODE_ENV': '"production"' },
    inject: [FETCH],
    sourcemap: 'external',
    plugins: [host(), runtime(engine), buffer()],
  });
  const [map, code] = ['.map', '.js'].map((end) => outputFiles.find(({ path }) => path.endsWith(end)).text);
  const output = Object.entries(metafile.outputs).find(([path]) => path.endsWith('.js'))[1];
  const imports = [...new Set(output.imports.map(({ path }) => path))];
  const usesFetch = Object.entries(output.inputs).some(([path, input]) => resolve(path) === FETCH && input.bytesInOutput > 0);
  return { code: `${code}\n${lineTable(JSON.parse(map))}\n`, imports, usesFetch };
}

// Returns a script for the path `script` that writes the routes and exports of the program to the file `result`.
export async function bundleForNode(source, script, result) {
  const entry = [
    `import ${JSON.stringify(source)};`,
    `import { describeProgram } from ${literal('program.js')};`,
    `import { writeFileSync } from 'node:fs';`,
    `writeFileSync(${JSON.stringify(result)}, JSON.stringify(describeProgram()));`,
    // Timers of the program must not keep the process.
    'process.exit();',
  ].join('\n');
  const { outputFiles } = await run(source, entry, {
    platform: 'node', outfile: script, sourcemap: 'inline', plugins: [absentHost()],
  });
  return outputFiles[0].text;
}

async function run(source, entry, options) {
  try {
    return await esbuild.build({
      stdin: { contents: entry, resolveDir: dirname(source), sourcefile: 'carya-guest-entry.js' },
      bundle: true,
      format: 'esm',
      outfile: 'guest.js',
      write: false,
      metafile: true,
      logLevel: 'silent',
      nodePaths: process.env.NODE_PATH?.split(delimiter),
      ...options,
      plugins: [library(), ...options.plugins],
    });
  } catch (error) {
    if (error.errors === undefined) throw error;
    const color = process.stderr.isTTY === true;
    throw new BuildError((await esbuild.formatMessages(error.errors, { kind: 'error', color })).join(''));
  }
}

// Resolves this library from the folder of the build command, so that both have the same version.
function library() {
  return {
    name: 'library',
    setup({ onResolve, resolve: find }) {
      onResolve({ filter: /^carya-guest($|\/)/ }, ({ path, kind, pluginData }) => {
        if (pluginData === PACKAGE) return undefined;
        // A package can import itself by its name.
        return find(path, { kind, resolveDir: PACKAGE, pluginData: PACKAGE });
      });
    },
  };
}

// Leaves imports of the host's interfaces in the code, and drops those that no code uses.
function host() {
  return {
    name: 'host',
    setup: ({ onResolve }) => onResolve({ filter: HOST }, ({ path }) => ({ path, external: true, sideEffects: false })),
  };
}

// Replaces the interfaces of the host, which Node.js does not have. A call while the program is loaded is an error in the
// engines too.
function absentHost() {
  return {
    name: 'absent-host',
    async setup({ onResolve, onLoad }) {
      const names = await functions();
      onResolve({ filter: HOST }, ({ path }) => ({ path, namespace: 'host', sideEffects: false }));
      onLoad({ filter: /.*/, namespace: 'host' }, ({ path }) => ({ contents: absent(path, names), loader: 'js' }));
    },
  };
}

// Returns the names of all functions of the contract.
async function functions() {
  const folder = join(PACKAGE, 'wit');
  const texts = await Promise.all((await readdir(folder)).map((file) => readFile(join(folder, file), 'utf8')));
  const names = [...texts.join('\n').matchAll(/^ *([a-z-]+): func/gm)].map(([, name]) => name);
  return new Set(names.map((name) => name.replace(/-([a-z])/g, (_, letter) => letter.toUpperCase())));
}

function absent(path, names) {
  const refuse = (name) => `export function ${name}() { refuse('${name}'); }`;
  return `function refuse(name) {
    throw new Error('the function ' + name + ' of ${path} was called while the program was loaded; call it in a handler');
  }
  ${[...names].map(refuse).join('\n')}`;
}

// Chooses the runtime of the engine.
function runtime(engine) {
  return {
    name: 'runtime',
    setup({ onLoad }) {
      if (engine.name !== 'quickjs') return;
      onLoad({ filter: /[\\/]src[\\/]runtime\.js$/ }, async ({ path }) => {
        if (path !== join(SRC, 'runtime.js')) return undefined;
        const file = join(SRC, 'quickjs/runtime.js');
        return { contents: await readFile(file, 'utf8'), resolveDir: dirname(file) };
      });
    },
  };
}

// Provides `Buffer` to the columns of drizzle that use it.
function buffer() {
  return {
    name: 'buffer',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]drizzle-orm[\\/][a-z]+-core[\\/]columns[\\/](blob|binary|varbinary)\.js$/ }, async ({ path }) => {
        return { contents: `import { Buffer } from ${literal('drizzle/buffer.js')};\n${await readFile(path, 'utf8')}` };
      });
    },
  };
}
