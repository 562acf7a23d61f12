// The shop's items in JavaScript: a page of them, one of them, and the three ways to change one.
//
// Answers the same as `items` (Rust) and `items-python`, byte for byte: change all three together. Runs on two engines,
// StarlingMonkey and QuickJS, and so keeps to what both have: the language itself and the host's imports.

import * as request from 'carya:host/request@0.1.0';

// What the host calls; `controller` in wit/world.wit demands these two.
export const readController = {
  read: (db) => answer(() => (request.param('id') == null ? page(db) : one(db))),
};

export const writeController = {
  write: (db) => answer(() => {
    const method = request.method();
    switch (method) {
      case 'POST': return create(db);
      case 'PUT': return update(db);
      case 'DELETE': return remove(db);
      default: throw `${method} is not routed here`;
    }
  }),
};

// The rows stay JSON text that the host wrote: nothing here takes them apart only to put them together again.
function page(db) {
  const page = number('page', 1, 1_000_000);
  const perPage = number('per_page', 20, 100);
  validate([
    ['page', page != null, 'must be a whole number from 1 to 1000000'],
    ['per_page', perPage != null, 'must be a whole number from 1 to 100'],
  ]);
  const items = db.queryJson(
    'SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT ? OFFSET ?',
    [int64(perPage), int64((page - 1) * perPage)],
  );
  const [total] = db.queryOne('SELECT count(*) FROM items', []);
  return json(200, `{"items":${items},"page":${page},"total":${total.val}}`);
}

function one(db) {
  const rows = db.queryJson('SELECT id, name, price_cents, stock FROM items WHERE id = ?', [id()]);
  // One row or none: without the brackets it is the item itself.
  const item = rows.slice(1, -1);
  if (item === '') throw missing();
  return json(200, item);
}

function create(db) {
  const draft = draftFromBody();
  try {
    const sql = 'INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id';
    const [{ val: id }] = db.queryOne(sql, values(draft));
    // StarlingMonkey reads an s64 as BigInt, which JSON.stringify refuses, QuickJS as a number.
    return json(201, JSON.stringify({ id: Number(id), ...draft }), [['location', `/items/${id}`]]);
  } catch (error) {
    throw isConstraint(error) ? nameTaken() : error;
  }
}

function update(db) {
  const draft = draftFromBody();
  const key = id();
  try {
    const sql = 'UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?';
    const { rowsAffected } = db.execute(sql, [...values(draft), key]);
    if (Number(rowsAffected) === 0) throw missing();
    return json(200, JSON.stringify({ id: key.val, ...draft }));
  } catch (error) {
    throw isConstraint(error) ? nameTaken() : error;
  }
}

function remove(db) {
  try {
    const { rowsAffected } = db.execute('DELETE FROM items WHERE id = ?', [id()]);
    if (Number(rowsAffected) === 0) throw missing();
    return { status: 204, headers: [], body: { tag: 'bytes', val: new Uint8Array() } };
  } catch (error) {
    throw isConstraint(error) ? new Problem(409, 'Conflict', 'there are orders of this item') : error;
  }
}

// What the client sent of an item, its members in the order in which they are answered.
function draftFromBody() {
  let body;
  try {
    body = JSON.parse(request.bodyText(), refuseOddities);
  } catch {
    body = null;
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw new Problem(400, 'Bad Request', 'the body is not a JSON object');
  }
  const { name, price_cents, stock } = body;
  const isName = typeof name === 'string' && name !== '' && [...name].length <= 100; // code points, not UTF-16 units
  const isAmount = (value) => Number.isInteger(value) && value >= 0 && value <= 1_000_000_000;
  validate([
    ['name', isName, 'must be a text of 1 to 100 characters'],
    ['price_cents', isAmount(price_cents), 'must be a whole number from 0 to 1000000000'],
    ['stock', isAmount(stock), 'must be a whole number from 0 to 1000000000'],
  ]);
  return { name, price_cents, stock };
}

// JSON.parse lets half a surrogate pair ("\ud800") pass, which is no text to the host, and reads 1e400 as Infinity.
function refuseOddities(key, value) {
  const isText = key.isWellFormed() && (typeof value !== 'string' || value.isWellFormed());
  if (!isText || value === Infinity || value === -Infinity) throw new SyntaxError('neither text nor number');
  return value;
}

// The item that the path names. What cannot be an id is NULL, which equals none.
function id() {
  const id = whole(request.param('id') ?? '');
  return id == null ? { tag: 'null' } : int64(id);
}

// A query parameter from 1 to `max`.
function number(name, otherwise, max) {
  const text = request.query(name);
  if (text == null) return otherwise;
  const n = whole(text);
  return n >= 1 && n <= max ? n : null;
}

// Decimal digits only, and no more of them than a number holds exactly.
function whole(text) {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : null;
}

// An s64 goes out as a number: QuickJS takes no BigInt.
function int64(n) {
  return { tag: 'int64', val: n };
}

function values({ name, price_cents, stock }) {
  return [{ tag: 'text', val: name }, int64(price_cents), int64(stock)];
}

function json(status, text, headers = []) {
  return { status, headers, body: { tag: 'json', val: text } };
}

// Thrown where a request cannot be served: an answer after RFC 9457.
class Problem {
  constructor(status, title, detail, errors) {
    const text = JSON.stringify({ detail, errors, status, title });
    this.response = json(status, text, [['content-type', 'application/problem+json']]);
  }
}

const missing = () => new Problem(404, 'Not Found', 'there is no such item');
const nameTaken = () => new Problem(409, 'Conflict', 'another item has this name');

// Names the fields that are not valid: each comes with whether it is, and the rule that it should follow.
function validate(fields) {
  const wrong = fields.filter(([, valid]) => !valid).map(([field, , rule]) => [field, rule]);
  if (wrong.length > 0) {
    throw new Problem(422, 'Unprocessable Content', 'some fields are not valid', Object.fromEntries(wrong));
  }
}

// A failed statement is thrown as an error with the db-error in its payload.
function isConstraint(error) {
  return error.payload?.kind === 'constraint';
}

// A problem is an answer. A failed statement becomes a text for the host's log: whatever else is thrown out of here
// than a text is a bug, and traps.
function answer(work) {
  try {
    return work();
  } catch (error) {
    if (error instanceof Problem) return error.response;
    throw error.payload?.message ?? error;
  }
}
