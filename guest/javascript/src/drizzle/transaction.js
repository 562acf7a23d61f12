import { isPromise } from '../settle.js';

// The transactions of a session. Each one is a savepoint in the transaction of the request.
export class Transactions {
  #db;
  // A promise for the end of the transaction that is open, if its function is `async`.
  #open;

  constructor(db) {
    this.#db = db;
  }

  // Calls `work` in a transaction. `depth` is the number of transactions around it.
  run(work, config, depth) {
    if (config?.isolationLevel !== undefined) {
      throw new Error('the host sets the isolation level: remove `isolationLevel`, and set `isolation` of the route');
    }
    if (depth > 0) return this.#inSavepoint(work);
    // Savepoints are nested: the end of the open transaction would also end one that begins now.
    if (this.#open !== undefined) return this.#open.then(() => this.run(work, config, depth));
    const result = this.#inSavepoint(work);
    if (isPromise(result)) {
      const end = () => { this.#open = undefined; };
      this.#open = result.then(end, end);
    }
    return result;
  }

  // A request that only reads needs no savepoint.
  #inSavepoint(work) {
    return typeof this.#db.savepoint === 'function' ? this.#db.savepoint(work) : work();
  }
}
