// Uses of the library that TypeScript accepts, and uses that it must refuse. `tsc` reports an expected error that is missing.

import {
  DbError, Problem, Reader, Writer, action, after, before, created, init, json, noContent, onError,
  onRoute, onViolation, respond, router,
} from 'carya-guest';
import * as v from 'valibot';

interface Ticket {
  id: number;
  title: string;
}

const reopen = action('reopen', (db, job: { ticket: number }) => {
  db.execute('UPDATE tickets SET state = ? WHERE id = ?', ['open', job.ticket]);
});

function find(db: Reader, id: number): Ticket {
  return db.first<Ticket>('SELECT id, title FROM tickets WHERE id = ?', [id]) ?? fail();
}

function fail(): never {
  throw Problem.notFound('there is no such ticket');
}

router.get('/projects/{project}/tickets/{id}', async (req, db) => {
  const project: string = req.params.project;
  // @ts-expect-error the pattern has no such parameter
  req.params.owner;
  // @ts-expect-error the pattern has no such parameter
  req.intParam('owner');
  return json([project, find(db, req.intParam('id'))]);
});

router.get('/files/{*path}', (req) => req.params.path);

router.get('/tickets', (req, db) => {
  const total = db.value<number>('SELECT count(*) FROM tickets');
  total?.toFixed();
  // @ts-expect-error a `Reader` cannot write
  db.execute('DELETE FROM tickets');
  // @ts-expect-error a `Reader` cannot write
  db.executeBatch('DELETE FROM tickets WHERE id = ?', [[1]]);
  // @ts-expect-error a `Reader` cannot write
  db.savepoint(() => 1);
  // @ts-expect-error a `Reader` cannot register actions
  db.afterCommit(reopen, { ticket: 1 }, 'at-least-once');
  // @ts-expect-error a `Reader` cannot write
  remove(db, 1);
  return db.all<Ticket>('SELECT id, title FROM tickets');
});

function remove(db: Writer, id: number) {
  db.execute('DELETE FROM tickets WHERE id = ?', [id]);
}

router.post('/tickets', (req, db) => {
  const draft = req.json(v.object({ title: v.string(), priority: v.optional(v.number(), 1) }));
  const priority: number = draft.priority;
  // @ts-expect-error the schema has no such member
  draft.owner;
  const id = onViolation('unique', () => Problem.conflict('taken'), () => {
    return db.value<number>('INSERT INTO tickets (title, priority) VALUES (?, ?) RETURNING id', [draft.title, priority]);
  });
  db.afterCommit(reopen, { ticket: id! }, 'at-least-once');
  // @ts-expect-error the payload of another action
  db.afterCommit(reopen, { order: 1 }, 'at-least-once');
  // @ts-expect-error the delivery is missing
  db.afterCommit(reopen, { ticket: 1 });
  // @ts-expect-error a `Date` is not an SQL value
  db.execute('UPDATE tickets SET closed_at = ?', [new Date()]);
  // @ts-expect-error the parameters are an array
  db.execute('UPDATE tickets SET id = ?', 1);
  const total: Promise<number> = db.savepoint(async () => 7);
  remove(db, find(db, 1).id);
  return created(`/tickets/${id}`, { total });
});

// @ts-expect-error a handler returns a response
router.get('/nothing', () => {});

router.post('/search', { transaction: 'read-only' }, (req, db) => {
  // @ts-expect-error a `Reader` cannot write
  db.execute('DELETE FROM tickets');
  return noContent();
});

router.post('/echo', { transaction: 'none' }, (req, db) => {
  const none: undefined = db;
  return req.bytes();
});

router.options('/tickets', () => noContent().withHeader('allow', 'GET'));

onRoute((req) => (req.header('x-readonly') === '1' ? Problem.forbidden('no') : undefined));
before(async (req, db) => {
  // @ts-expect-error there is no handle outside of the transaction
  db.all('SELECT 1');
  if (req.path === '/old') return respond(410);
});
after((req, reply, db) => reply.setHeader('x-rows', Number(db?.value('SELECT 1') ?? 0)));
onError((req, failure) => (failure.constraint?.kind === 'unique' ? Problem.conflict('taken') : undefined));
init((db) => db.savepoint(() => remove(db, 1)));

try {
  fail();
} catch (error) {
  if (error instanceof DbError && error.violates('foreign-key')) error.constraint?.columns.join();
  // @ts-expect-error there is no such kind
  if (error instanceof DbError && error.violates('foreign_key')) throw error;
}

router.post('/raw', (req, db) => {
  const affected: bigint = db.raw.execute('DELETE FROM tickets WHERE id = ?', [{ tag: 'int64', val: 1n }]).rowsAffected;
  // @ts-expect-error the contract has no such method
  db.raw.remove('tickets');
  return String(affected);
});

router.get('/raw', (req, db) => {
  // @ts-expect-error a reader does not write
  db.raw.execute('DELETE FROM tickets', []);
  return String(db.raw.query('SELECT 1', []).rows.length);
});
