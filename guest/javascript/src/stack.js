/* global CARYA_LINES */

// Stacks of errors with the names and lines of the source files. The component contains one file, which the build command
// has bundled, and a table of its lines.

// Frames of V8 and QuickJS: `at name (file:1:2)`, `at file:1:2`. Frames of SpiderMonkey: `name@file:1:2`.
const FRAMES = [/^\s*at (?:(?<name>.*) \()?(?<file>[^()]*?):(?<line>\d+)(?::\d+)?\)?$/, /^(?<name>.*)@(?<file>.*?):(?<line>\d+)(?::\d+)?$/];

// Returns the lines of a stack as `    at name (src/notes.ts:7)`. Frames of this library and of the engine are left out.
export function place(stack) {
  return placeWith(typeof CARYA_LINES === 'undefined' ? undefined : CARYA_LINES, stack);
}

export function placeWith(table, stack) {
  if (typeof stack !== 'string') return [];
  const lines = [];
  for (const text of stack.split('\n')) {
    const frame = FRAMES.map((pattern) => pattern.exec(text)).find((match) => match !== null)?.groups;
    if (frame === undefined) continue;
    const source = table === undefined ? `${frame.file}:${frame.line}` : find(table, Number(frame.line));
    if (source !== undefined) lines.push(frame.name ? `    at ${frame.name} (${source})` : `    at ${source}`);
  }
  return lines;
}

// Returns the place of a line of the component. `build/lines.mjs` describes the table.
function find({ sources, runs }, line) {
  let first = 0;
  let found;
  for (const run of runs.split(';')) {
    const [distance, source, start] = run.split(',').map((text) => parseInt(text, 36));
    if (first + distance > line) break;
    first += distance;
    found = { source, start };
  }
  if (found === undefined || found.source < 0) return undefined;
  return `${sources.split('\n')[found.source]}:${found.start + line - first}`;
}
