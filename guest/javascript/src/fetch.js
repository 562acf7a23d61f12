// The build command replaces the global `fetch` by this export, and so learns whether a program uses it.
export function fetch(...args) {
  if (globalThis.fetch === undefined) throw new ReferenceError('fetch is not defined');
  return globalThis.fetch(...args);
}
