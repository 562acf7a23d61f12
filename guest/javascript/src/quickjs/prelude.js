// Globals that QuickJS lacks. The build command puts this module before all others.

// First, because `promise-polyfill` reads `setTimeout`.
import './timeout.js';
import Promise from 'promise-polyfill';
import { queue } from './jobs.js';
import { getRandomValues, random, randomUUID } from './random.js';
import { TextDecoder, TextEncoder } from './utf8.js';

// QuickJS runs the jobs of its own promises only after the call, when the response has to be there already. These promises
// have a queue of their own. The build command replaces `async` functions by generators, which use this global.
Promise._immediateFn = queue;
Promise._unhandledRejectionFn = (error) => console.warn('a promise was rejected, and nothing handled it:', error);
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};
globalThis.Promise = Promise;
globalThis.queueMicrotask = queue;
// Programs that find no `setTimeout` may have another way, and otherwise the exception names it.
delete globalThis.setTimeout;

globalThis.TextDecoder ??= TextDecoder;
globalThis.TextEncoder ??= TextEncoder;

globalThis.crypto ??= { getRandomValues, randomUUID };
// The seed of the engine is the same in every instance, because it was set at build time.
Math.random = random;

// Output at build time is shown when the build command evaluates the program in Node.js.
const ignore = () => {};
globalThis.console = { trace: ignore, debug: ignore, log: ignore, info: ignore, warn: ignore, error: ignore };
