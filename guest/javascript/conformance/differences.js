// Cases whose outcome in a guest differs from the one in Node.js, with the reason. `guest` is a part of the outcome in a guest,
// as JSON. Without `dialects` or an `engine`, the outcome differs on all of them.

export const DIFFERENCES = [
  {
    reason: 'a failed statement dooms the transaction of the host, also if the exception is caught; a nested transaction does not',
    mapper: 'drizzle',
    cases: ['an error that is caught inside a transaction'],
    guest: /^{"error":{"database"/,
  },
  {
    reason: 'QuickJS represents no integers beyond 2^53; the error names the remedy',
    mapper: 'drizzle',
    cases: ['large integers'],
    guest: /"RangeError".*beyond 2\^53/,
    engine: 'quickjs',
  },
  {
    reason: 'the library returns 64-bit integers as numbers, and the driver of PostgreSQL as texts',
    mapper: 'drizzle',
    cases: ['a count without a type'],
    guest: /"count":5}/,
  },
  {
    reason: 'the host sets the isolation level; the error names the remedy',
    mapper: 'drizzle',
    cases: ['an isolation level'],
    guest: /the host sets the isolation level/,
  },
  {
    reason: 'rows cannot be streamed to a guest',
    mapper: 'drizzle',
    cases: ['rows one by one'],
    guest: /Streaming is not supported/,
  },
  {
    reason: 'a failed statement dooms the transaction of the host, also if the exception is caught; a savepoint does not',
    mapper: 'kysely',
    cases: ['an error that is caught inside a transaction'],
    guest: /^{"error":{"database"/,
  },
  {
    reason: 'QuickJS represents no integers beyond 2^53; the error names the remedy',
    mapper: 'kysely',
    cases: ['large integers as integers'],
    guest: /"RangeError".*beyond 2\^53/,
    engine: 'quickjs',
  },
  {
    reason: 'the host sets the isolation level; the error names the remedy',
    mapper: 'kysely',
    cases: ['an isolation level'],
    guest: /the host sets the isolation level/,
  },
  {
    reason: 'rows cannot be streamed to a guest',
    mapper: 'kysely',
    cases: ['rows one by one'],
    guest: /rows cannot be streamed/,
  },
  {
    reason: 'the host returns columns of booleans as booleans, and the drivers return 0 and 1',
    mapper: 'kysely',
    cases: ['booleans'],
    guest: /"flag":true},.*"flag":false},.*"flag":null}/,
    dialects: ['sqlite', 'mysql'],
  },
  {
    reason: 'the library returns dates as texts, and the drivers as `Date`',
    mapper: 'kysely',
    cases: ['dates'],
    guest: /"day":"2026-02-28","moment":"2026-02-28 12:34:56.789","zoned":"2026-02-28 12:34:56(\+00)?"/,
  },
  {
    reason: 'the type of documents on MariaDB is a text for the host; use `ParseJSONResultsPlugin`',
    mapper: 'kysely',
    cases: ['documents'],
    guest: /"document":"\[\]"/,
    dialects: ['mysql'],
  },
  {
    reason: 'the host does not count the rows that an update changes to another value',
    mapper: 'kysely',
    cases: ['update to the same value'],
    guest: /^{"result":{"numUpdatedRows":{"bigint":"1"},/,
  },
];
