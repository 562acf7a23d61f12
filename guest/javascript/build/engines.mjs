// The engines of JavaScript and their tools.

import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { BuildError } from './error.mjs';

const require = createRequire(import.meta.url);

async function starlingmonkey({ file, wit, usesFetch }) {
  const { componentize } = await import('@bytecodealliance/componentize-js');
  // The features that import `wasi:http` are left out of components that do not use `fetch`.
  const disableFeatures = usesFetch ? ['fetch-event'] : ['http', 'fetch-event'];
  return componentize({ sourcePath: file, witPath: wit, worldName: 'guest', disableFeatures });
}

async function quickjs({ code, file, wit }) {
  const { componentize } = require('componentize-qjs');
  // The stubs replace all imports of WASI that the world of the guest does not contain.
  const options = { sync: true, optSize: true, stubWasi: false };
  return componentize({ jsSource: code, jsPath: file, witPath: wit, world: 'guest', ...options });
}

// Returns the component of a bundle, from a file in `folder`.
export async function componentize(engine, { code, usesFetch }, wit, folder) {
  const file = join(folder, 'guest.js');
  await writeFile(file, code);
  try {
    const { component } = await engine.componentize({ code, file, wit, usesFetch });
    return component;
  } catch (error) {
    throw new BuildError(`the engine ${engine.name} cannot initialize the program: ${error.message}`);
  }
}

export const ENGINES = {
  quickjs: {
    name: 'quickjs',
    // QuickJS cannot wait for promises, so `async` functions become generators that use a promise of this library.
    supported: { 'async-await': false, 'async-generator': false, 'for-await': false },
    componentize: quickjs,
  },
  starlingmonkey: { name: 'starlingmonkey', supported: {}, componentize: starlingmonkey },
};
