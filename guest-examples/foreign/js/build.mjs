// Builds a component whose `fetch` event handles `wasi:http`: node build.mjs SOURCE WIT WORLD OUTPUT
import { rename, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [sourcePath, witPath, worldName, output] = process.argv.slice(2);
const { component } = await componentize({ sourcePath, witPath, worldName });
await writeFile(`${output}.new`, component);
await rename(`${output}.new`, output);
