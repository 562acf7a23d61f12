// Turns a JavaScript guest into a component: node build.mjs ENGINE SOURCE WIT WORLD OUTPUT
import { readFile, rename, writeFile } from 'node:fs/promises';

const engines = {
  // Whole JavaScript in 12 MB. The host offers no outbound wasi:http, so the part of the engine that imports it stays out.
  async starlingmonkey(sourcePath, witPath, worldName) {
    const { componentize } = await import('@bytecodealliance/componentize-js');
    return componentize({ sourcePath, witPath, worldName, disableFeatures: ['http', 'fetch-event'] });
  },
  // 1 MB, and quick to start. The stubs leave no imports but the host's: Date.now() traps, Math.random() repeats.
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
