// Builds a component from a JavaScript guest: node build.mjs ENGINE SOURCE WIT WORLD OUTPUT
import { readFile, rename, writeFile } from 'node:fs/promises';

const engines = {
  // All of JavaScript, in 12 MB, without the features that import wasi:http.
  async starlingmonkey(sourcePath, witPath, worldName) {
    const { componentize } = await import('@bytecodealliance/componentize-js');
    return componentize({ sourcePath, witPath, worldName, disableFeatures: ['http', 'fetch-event'] });
  },
  // The same with `fetch`, and with the `fetch` event as a handler of `wasi:http`.
  async fetch(sourcePath, witPath, worldName) {
    const { componentize } = await import('@bytecodealliance/componentize-js');
    return componentize({ sourcePath, witPath, worldName });
  },
  // 1 MB, and starts quickly. Stubs replace all imports but the host's: `Date.now()` traps, `Math.random()` repeats.
  async quickjs(jsPath, witPath, world) {
    const { default: { componentize } } = await import('componentize-qjs');
    const jsSource = await readFile(jsPath, 'utf8');
    return componentize({ jsPath, jsSource, witPath, world, sync: true, optSize: true, stubWasi: true });
  },
};

const [engine, source, wit, world, output] = process.argv.slice(2);
const { component } = await engines[engine](source, wit, world);
await writeFile(`${output}.new`, component);
await rename(`${output}.new`, output);
