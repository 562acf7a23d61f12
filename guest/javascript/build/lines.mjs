// The table of lines, by which errors name lines of the source files. See `src/stack.js`.

import { sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const LIBRARY = fileURLToPath(new URL('../src/', import.meta.url));

// Returns a statement that defines the table for the bundle that a source map describes.
export function lineTable(map) {
  return `globalThis.CARYA_LINES = ${JSON.stringify(table(map))};`;
}

// Returns the table as two texts, because arrays would be several times as large in the memory of the component. A run is a
// range of lines of the bundle that are consecutive lines of one source file: the distance of its first line from that of the
// run before, the index of the source file or -1, and the first line in the source file.
export function table({ sources, mappings }) {
  const isHidden = sources.map(isLibrary);
  const used = [];
  const flat = [];
  let [source, line] = [0, 0];
  let previous;
  let last = 0;
  mappings.split(';').forEach((segments, index) => {
    let first;
    for (const segment of segments.split(',')) {
      const fields = decode(segment);
      if (fields.length < 4) continue;
      source += fields[1];
      line += fields[2];
      first ??= { source: isHidden[source] ? -1 : source, line };
    }
    if (first === undefined) return;
    const offset = first.source < 0 ? 0 : first.line - index;
    if (previous?.source === first.source && previous.offset === offset) return;
    previous = { source: first.source, offset };
    if (first.source >= 0 && !used.includes(first.source)) used.push(first.source);
    flat.push([index + 1 - last, first.source < 0 ? -1 : used.indexOf(first.source), first.line + 1].map(base36).join(','));
    last = index + 1;
  });
  return { sources: used.map((number) => shorten(sources[number])).join('\n'), runs: flat.join(';') };
}

const base36 = (number) => number.toString(36);

// Frames of this library and of the entry only distract from those of the program.
function isLibrary(source) {
  return source === 'carya-guest-entry.js' || source.includes('promise-polyfill') || resolved(source).startsWith(LIBRARY);
}

function resolved(source) {
  return new URL(source, `file://${process.cwd()}${sep}`).pathname;
}

// Names a file of a package by the package.
function shorten(source) {
  return source.replace(/^.*node_modules\//, '');
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

// Decodes a segment of base64 VLQ.
function decode(text) {
  const numbers = [];
  let [value, shift] = [0, 0];
  for (const letter of text) {
    const digit = DIGITS.indexOf(letter);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >>> 1) : value >>> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
