// The engine around a call, for QuickJS.

import { installConsole } from '../console.js';
import { isPromise } from '../settle.js';
import { runJobs } from './jobs.js';
import { seed } from './random.js';

let isStarted = false;

export function start() {
  if (isStarted) return;
  isStarted = true;
  seed();
  installConsole();
}

// Returns the value of a promise, or throws its error. All jobs of the call run, also those that nothing waits for.
export function finish(result) {
  if (!isPromise(result)) {
    runJobs();
    return result;
  }
  let settled;
  result.then((value) => { settled = { value }; }, (error) => { settled = { error }; });
  runJobs();
  if (settled === undefined) throw 'the promise that the function returned is never settled';
  if ('error' in settled) throw settled.error;
  return settled.value;
}
