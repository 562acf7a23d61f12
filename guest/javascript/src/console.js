// `console` writes to the log of the host, with its levels.

import { log } from './log.js';

// Installed with the first call. The functions of the host cannot be called before, while the module is evaluated at
// build time.
export function installConsole() {
  const { trace, debug, info, warn, error } = log;
  globalThis.console = { ...globalThis.console, trace, debug, log: info, info, warn, error, assert };
}

function assert(condition, ...values) {
  if (!condition) log.error('assertion failed:', ...values);
}
