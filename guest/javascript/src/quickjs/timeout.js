// Defines the global that `promise-polyfill` reads when it is loaded. The prelude removes it.
globalThis.setTimeout = undefined;
