// The world of a component: the interfaces that its code imports and exports.

import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { BuildError } from './error.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const VERSION = '0.2.0';

// Interfaces of the host that a component can import.
const IMPORTS = /^(carya:host\/[a-z-]+@0\.2\.0|wasi:random\/random@0\.2\.0)$/;

// Writes the world `guest` and the packages that it uses. Returns the folder.
export async function writeWorld(folder, imports, exports) {
  const unknown = imports.find((name) => !IMPORTS.test(name));
  if (unknown !== undefined) throw new BuildError(`the host has no interface ${unknown}; this library is for carya:host@${VERSION}`);
  const wit = join(folder, 'wit');
  await mkdir(join(wit, 'deps'), { recursive: true });
  await cp(join(PACKAGE, 'wit'), join(wit, 'deps/carya'), { recursive: true });
  await cp(join(PACKAGE, 'wasi'), join(wit, 'deps/random'), { recursive: true });
  await writeFile(join(wit, 'guest.wit'), worldText(imports, exports));
  return wit;
}

export function worldText(imports, exports) {
  const lines = [
    ...imports.map((name) => `import ${name};`),
    ...exports.map((name) => `export carya:host/${name}@${VERSION};`),
  ];
  return `package carya:guest;\n\nworld guest {\n${lines.map((line) => `    ${line}\n`).join('')}}\n`;
}
