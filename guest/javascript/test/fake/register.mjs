// Lets Node.js load modules that import interfaces of the host, from the fakes in this folder.

import { register } from 'node:module';

const hooks = `export async function resolve(specifier, context, next) {
  const found = /^(?:carya:host|wasi:random)\\/([a-z-]+)(@.*)?$/.exec(specifier);
  return found ? { url: new URL(found[1] + '.mjs', ${JSON.stringify(import.meta.url)}).href, shortCircuit: true } : next(specifier, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
