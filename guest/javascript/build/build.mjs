// Builds a component from the source of a guest.

import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';

import { bundle } from './bundle.mjs';
import { ENGINES, componentize } from './engines.mjs';
import { BuildError } from './error.mjs';
import { evaluate } from './evaluate.mjs';
import { appendSection } from './section.mjs';
import { writeWorld } from './world.mjs';

export async function build(source, engineName) {
  const engine = ENGINES[engineName];
  if (engine === undefined) {
    throw new BuildError(`there is no engine ${JSON.stringify(engineName)}; choose ${Object.keys(ENGINES).join(' or ')}`);
  }
  if (!(await stat(source).catch(() => undefined))?.isFile()) {
    throw new BuildError(`there is no file ${source} in ${process.cwd()}`);
  }
  const folder = await mkdtemp(join(tmpdir(), 'carya-guest-'));
  try {
    const { routes, exports } = await evaluate(resolve(source), folder);
    if (exports.length === 0) {
      throw new BuildError(`${relative('', source)} registers no route, hook or action: router.get("/path", (req, db) => ..)`);
    }
    const all = [...exports, 'reseed'];
    const program = await bundle(resolve(source), engine, all);
    const wit = await writeWorld(folder, program.imports, all);
    const component = await componentize(engine, program, wit, folder);
    return routes === '' ? component : appendSection(component, 'carya:routes', routes);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
