// Runs the work of a transaction in a savepoint. A request that only reads needs none.
export function inSavepoint(db, work) {
  return typeof db.savepoint === 'function' ? db.savepoint(work) : work();
}
