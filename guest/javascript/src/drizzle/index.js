// drizzle-orm on the handles of the database. `transaction()` opens a savepoint in the transaction of the request, which the
// host owns.

export { mysql } from './mysql.js';
export { postgres } from './postgres.js';
export { sqlite } from './sqlite.js';
