// Handlers may return a promise. A handler that returns none runs without any promise, which QuickJS could not wait for.

// Returns whether a value is a promise, of any library.
export function isPromise(value) {
  return value !== null && typeof value === 'object' && typeof value.then === 'function';
}

// Calls `work`, and then `done` with its result or `failed` with its error, once the result is settled.
export function settle(work, done, failed) {
  let result;
  try {
    result = work();
  } catch (error) {
    return failed(error);
  }
  return isPromise(result) ? result.then(done, failed) : done(result);
}
