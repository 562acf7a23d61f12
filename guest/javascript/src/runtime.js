// The engine around a call. This is the runtime of StarlingMonkey, which waits for promises by itself.

import { installConsole } from './console.js';

let isStarted = false;

export function start() {
  if (isStarted) return;
  isStarted = true;
  installConsole();
}

export function finish(result) {
  return result;
}
