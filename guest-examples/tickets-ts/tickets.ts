// Controller for tickets with comments: a JSON API with validation and entity tags, and a page with a form.
//
// Returns the same responses as `tickets` (Rust): change both together.

import {
  Problem, type HandlerRequest, type Reader, action, created, log, noContent, onViolation, redirect, router, tagged,
  template,
} from 'carya-guest';
import * as v from 'valibot';

interface Ticket {
  id: number;
  title: string;
  priority: number;
  state: 'open' | 'closed';
  version: number;
}

const State = v.picklist(['open', 'closed'], 'must be one of open, closed');
const isTitle = (title: string) => title !== '' && [...title].length <= 100; // code points, not UTF-16 units
const Title = v.pipe(v.string(), v.check(isTitle, 'must have 1 to 100 characters'));
const Priority = v.pipe(v.number(), v.integer(), v.minValue(1, 'must be from 1 to 5'), v.maxValue(5, 'must be from 1 to 5'));
const Draft = v.strictObject({ title: Title, priority: Priority, state: v.optional(State, 'open') });
const Whole = v.pipe(v.string(), v.regex(/^-?[0-9]{1,15}$/, 'must be a whole number'), v.transform(Number));
const Search = v.object({ state: v.optional(State), after: v.optional(Whole, '0') });
const Comment = v.object({ text: v.string() });

router.get('/tickets', (req, db) => {
  const { after, state = null } = req.validQuery(Search);
  const sql =
    'SELECT id, title, priority, state, version FROM tickets WHERE id > ? AND state = coalesce(?, state) ORDER BY id LIMIT 20';
  return db.allJson(sql, [after, state]);
});

// Responds with 304 if the client has this version already.
router.get('/tickets/{id}', (req, db) => {
  const ticket = find(db, req);
  return tagged(ticket.version, ticket);
});

router.post('/tickets', (req, db) => {
  const { title, priority, state } = req.json(Draft);
  const sql = 'INSERT INTO tickets (title, priority, state) VALUES (?, ?, ?) RETURNING id';
  const id = onViolation('unique', titleTaken, () => db.value<number>(sql, [title, priority, state]));
  return created(`/tickets/${id}`, { id, title, priority, state, version: 1 });
});

// Requires `if-match`, so that no client overwrites a change that it has not seen.
router.put('/tickets/{id}', (req, db) => {
  const { title, priority, state } = req.json(Draft);
  const present = find(db, req);
  req.requireVersion(present.version);
  // At lower isolation levels another transaction may have changed the ticket since it was read.
  const sql = 'UPDATE tickets SET title = ?, priority = ?, state = ?, version = version + 1 WHERE id = ? AND version = ?';
  const { rowsAffected } = onViolation('unique', titleTaken, () => {
    return db.execute(sql, [title, priority, state, present.id, present.version]);
  });
  if (rowsAffected === 0) throw Problem.preconditionFailed('this has changed since you read it');
  const ticket = find(db, req);
  return tagged(ticket.version, ticket);
});

router.delete('/tickets/{id}', (req, db) => {
  const { id } = find(db, req);
  db.execute('DELETE FROM comments WHERE ticket = ?', [id]);
  db.execute('DELETE FROM tickets WHERE id = ?', [id]);
  return noContent();
});

// A page with the comments and a form for the next one.
router.get('/tickets/{id}/page', (req, db) => {
  const ticket = find(db, req);
  const comments = db.values('SELECT text FROM comments WHERE ticket = ? ORDER BY id', [ticket.id]);
  return req.forgetFlash(template('ticket.html', { ticket, comments, flash: req.flash ?? null }));
});

router.post('/tickets/{id}/comments', (req, db) => {
  const { text } = req.form(Comment);
  const { id } = find(db, req);
  const page = (flash: string) => redirect(`/tickets/${id}/page`, { flash });
  if (text.trim() === '') return page('A comment needs a text.');
  db.execute('INSERT INTO comments (ticket, text) VALUES (?, ?)', [id, text]);
  db.afterCommit(reopen, { ticket: id }, 'at-least-once');
  return page('Thank you for the comment.');
});

// Reopens a ticket after a comment, in a transaction of its own.
const reopen = action('reopen', (db, job: { ticket: number }) => {
  const sql = "UPDATE tickets SET state = 'open', version = version + 1 WHERE id = ? AND state = 'closed'";
  if (db.execute(sql, [job.ticket]).rowsAffected > 0) log.info(`ticket ${job.ticket} was reopened`);
});

function find(db: Reader, req: HandlerRequest<'id'>): Ticket {
  const sql = 'SELECT id, title, priority, state, version FROM tickets WHERE id = ?';
  const ticket = db.first<Ticket>(sql, [req.intParam('id')]);
  if (ticket === undefined) throw Problem.notFound('there is no such ticket');
  return ticket;
}

const titleTaken = () => Problem.conflict('another ticket has this title');
