// Runs each case in Node.js with the usual driver and in a guest, and compares the outcomes. See README.md.
// Usage: run.mjs sqlite|postgresql|mysql quickjs|starlingmonkey [PART OF A NAME]
// Settings: CARYA_URL, the host that serves `guest.js`; DATABASE_URL, its database on a server.

import { isDeepStrictEqual } from 'node:util';

import { resetStatements } from './data.js';
import { DIFFERENCES } from './differences.js';
import * as drizzleCases from './drizzle/cases.js';
import * as kyselyCases from './kysely/cases.js';
import { open } from './native.mjs';
import { errorFields, outcome } from './outcome.js';

// The drivers read dates without an offset in the zone of the process.
process.env.TZ = 'UTC';
const { CARYA_URL, DATABASE_URL } = process.env;
const [dialect, engine, part = ''] = process.argv.slice(2);
const native = await open(dialect, DATABASE_URL);
const tables = await import(`./drizzle/${dialect}.js`);

// Returns the arguments of a case in Node.js.
const mappers = {
  drizzle: () => [
    native.drizzle(drizzleCases.schemaOf(tables)),
    { ...tables, isMysql: dialect === 'mysql', affected: native.affected, rows: native.rows },
  ],
  kysely: () => [native.kysely(), dialect],
};

async function reset() {
  for (const statement of resetStatements(dialect)) await native.execute(statement);
}

async function inNode(mapper, { CLASSES, casesOf }, name) {
  await reset();
  const args = mappers[mapper]();
  const found = await outcome(async () => casesOf(dialect)[name](...args), (error) => errorFields(error, CLASSES, native.databaseError));
  // As the response of the guest, which is a text.
  return JSON.parse(JSON.stringify(found));
}

async function inGuest(mapper, name) {
  await (dialect === 'sqlite' ? post('reset') : reset());
  return JSON.parse(await post(mapper, name));
}

async function post(path, body) {
  const response = await fetch(`${CARYA_URL}/${path}`, { method: 'POST', body });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path} ${body}: ${response.status} ${text}`);
  return text;
}

const isKnown = (difference, mapper, name) =>
  difference.mapper === mapper && difference.cases.includes(name) && (difference.dialects ?? [dialect]).includes(dialect) &&
  (difference.engine ?? engine) === engine;

let isFailed = false;
for (const [mapper, cases] of [['drizzle', drizzleCases], ['kysely', kyselyCases]]) {
  const names = Object.keys(cases.casesOf(dialect)).filter((name) => name.includes(part));
  let equal = 0;
  const known = [];
  for (const name of names) {
    const expected = await inNode(mapper, cases, name);
    const actual = await inGuest(mapper, name);
    const difference = DIFFERENCES.find((candidate) => isKnown(candidate, mapper, name));
    if (isDeepStrictEqual(actual, expected)) {
      equal += 1;
      if (difference === undefined) continue;
      console.log(`${mapper}: "${name}" is equal now; remove it from differences.js`);
    } else if (difference?.guest.test(JSON.stringify(actual))) {
      known.push(difference.reason);
      continue;
    } else {
      console.log(`${mapper}: "${name}" differs\n  Node.js ${JSON.stringify(expected)}\n  guest   ${JSON.stringify(actual)}`);
    }
    isFailed = true;
  }
  console.log(`${mapper} on ${dialect}, ${engine}: ${names.length} cases, ${equal} equal, ${known.length} known differences`);
  for (const reason of new Set(known)) console.log(`  ${known.filter((other) => other === reason).length} ${reason}`);
}
for (const { mapper, cases } of DIFFERENCES) {
  const { casesOf } = { drizzle: drizzleCases, kysely: kyselyCases }[mapper];
  const names = ['sqlite', 'postgresql', 'mysql'].flatMap((other) => Object.keys(casesOf(other)));
  for (const name of cases.filter((candidate) => !names.includes(candidate))) {
    console.log(`${mapper}: there is no case "${name}"; remove it from differences.js`);
    isFailed = true;
  }
}
await native.close();
process.exitCode = isFailed ? 1 : 0;
