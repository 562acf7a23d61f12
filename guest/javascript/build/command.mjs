// The command line: `carya-guest build src/notes.ts -o notes.wasm [--engine quickjs|starlingmonkey]`.

import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';

import { build } from './build.mjs';
import { BuildError } from './error.mjs';

const USAGE = `Usage: carya-guest build SOURCE -o OUTPUT [--engine quickjs|starlingmonkey]

Builds a component from a JavaScript or TypeScript file.

  -o, --output FILE   the component
  -e, --engine NAME   quickjs (default): 1 MB, and starts quickly
                      starlingmonkey: all of JavaScript and \`fetch\`, in 12 MB
`;

export async function main(args) {
  try {
    const { positionals, values } = parse(args);
    if (values.help || positionals.length === 0) {
      process.stdout.write(USAGE);
      return values.help ? 0 : 2;
    }
    const [command, source] = positionals;
    if (command !== 'build' || source === undefined || positionals.length > 2 || values.output === undefined) {
      throw new BuildError(`cannot run \`carya-guest ${args.join(' ')}\`\n\n${USAGE}`);
    }
    await place(values.output, await build(source, values.engine));
    return 0;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    process.stderr.write(`carya-guest: ${error.message.trimEnd()}\n`);
    return 1;
  }
}

function parse(args) {
  const options = {
    output: { type: 'string', short: 'o' },
    engine: { type: 'string', short: 'e', default: 'quickjs' },
    help: { type: 'boolean', short: 'h' },
  };
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new BuildError(`${error.message}\n\n${USAGE}`);
  }
}

// Replaces the component in one step, because a running host may be watching the file.
async function place(output, component) {
  await mkdir(dirname(output), { recursive: true });
  const draft = `${output}.${process.pid}.draft`;
  try {
    await writeFile(draft, component);
    await rename(draft, output);
  } finally {
    await rm(draft, { force: true });
  }
}
