// The handles of the database. Each call is recorded, and returns the next prepared result or throws the next error.

import { failure } from './host.mjs';

export class FakeDatabase {
  calls = [];
  isDisposed = false;

  constructor(...results) {
    this.results = results;
  }

  dialect() {
    return 'sqlite';
  }

  [Symbol.dispose ?? Symbol.for('Symbol.dispose')]() {
    this.isDisposed = true;
  }
}

for (const name of ['query', 'queryOne', 'queryJson', 'queryOneJson', 'run', 'execute', 'executeBatch', 'savepoint', 'release', 'rollback', 'afterCommit', 'afterRollback', 'markRollback']) {
  FakeDatabase.prototype[name] = function record(...args) {
    this.calls.push([name, ...args]);
    const result = this.results.shift();
    if (result?.kind !== undefined) throw failure(result);
    return result;
  };
}

// Returns a result of the contract: names of columns, and rows of values of the contract.
export const rows = (names, ...values) => ({ columns: names.map((name) => ({ name, typeName: '' })), rows: values });
