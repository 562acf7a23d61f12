// Controller for the shop's items in JavaScript: lists a page of items, reads one item, and creates, updates or deletes
// an item.
//
// Returns the same responses as `items` (Rust) and `items-python`, byte for byte: change all three together. Runs on
// two engines, StarlingMonkey and QuickJS, and uses only features of both: the language itself and the host's imports.

import * as request from 'carya:host/request@0.2.0';

// The exports that the host calls; the world `controller` in wit/world.wit requires both.
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
      default: throw new Error(`${method} is not routed here`);
    }
  }),
};

// The rows stay the JSON text that the host wrote, so the guest neither parses nor serializes them.
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
  const item = db.queryOneJson('SELECT id, name, price_cents, stock FROM items WHERE id = ?', [id()]);
  if (item == null) throw missing();
  return json(200, item);
}

function create(db) {
  const draft = draftFromBody();
  try {
    const sql = 'INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id';
    const [{ val: id }] = db.queryOne(sql, values(draft));
    // StarlingMonkey represents an s64 as a BigInt, which JSON.stringify rejects, QuickJS as a number.
    return json(201, JSON.stringify({ id: Number(id), ...draft }), [['location', `/items/${id}`]]);
  } catch (error) {
    throw isNameTaken(error) ? nameTaken() : error;
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
    throw isNameTaken(error) ? nameTaken() : error;
  }
}

function remove(db) {
  try {
    const { rowsAffected } = db.execute('DELETE FROM items WHERE id = ?', [id()]);
    if (Number(rowsAffected) === 0) throw missing();
    return { status: 204, headers: [], body: { tag: 'bytes', val: new Uint8Array() } };
  } catch (error) {
    throw isReferenced(error) ? new Problem(409, 'Conflict', 'there are orders of this item') : error;
  }
}

// An item as the client sends it, with its members in the order of the response.
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

// JSON.parse accepts half a surrogate pair ("\ud800"), which is not a string in WIT, and reads 1e400 as Infinity.
function refuseOddities(key, value) {
  const isText = key.isWellFormed() && (typeof value !== 'string' || value.isWellFormed());
  if (!isText || value === Infinity || value === -Infinity) throw new SyntaxError('neither text nor number');
  return value;
}

// Returns the item's id from the path. A text that cannot be an id becomes NULL, which equals no id.
function id() {
  const id = whole(request.param('id') ?? '');
  return id == null ? { tag: 'null' } : int64(id);
}

// Returns a query parameter from 1 to `max`, or null if it is not valid.
function number(name, otherwise, max) {
  const text = request.query(name);
  if (text == null) return otherwise;
  const n = whole(text);
  return n >= 1 && n <= max ? n : null;
}

// Parses decimal digits, at most as many as a number represents exactly.
function whole(text) {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : null;
}

// Passes an s64 as a number, because QuickJS does not accept a BigInt.
function int64(n) {
  return { tag: 'int64', val: n };
}

function values({ name, price_cents, stock }) {
  return [{ tag: 'text', val: name }, int64(price_cents), int64(stock)];
}

function json(status, text, headers = []) {
  return { status, headers, body: { tag: 'json', val: text } };
}

// Thrown if a request cannot be served: a response with problem details (RFC 9457).
class Problem {
  constructor(status, title, detail, errors) {
    const text = JSON.stringify({ detail, errors, status, title });
    this.response = json(status, text, [['content-type', 'application/problem+json']]);
  }
}

const missing = () => new Problem(404, 'Not Found', 'there is no such item');
const nameTaken = () => new Problem(409, 'Conflict', 'another item has this name');

// Throws a `Problem` that lists the invalid fields. Each field comes with its validity and the rule that it must
// follow.
function validate(fields) {
  const wrong = fields.filter(([, valid]) => !valid).map(([field, , rule]) => [field, rule]);
  if (wrong.length > 0) {
    throw new Problem(422, 'Unprocessable Content', 'some fields are not valid', Object.fromEntries(wrong));
  }
}

// Returns whether a statement failed because another item has the same name. A failed statement throws an error with the
// `db-error` in its payload.
function isNameTaken(error) {
  const violated = error.payload?.constraint;
  return violated?.kind === 'unique' && violated.columns.join() === 'name';
}

// Returns whether a statement failed because other rows refer to the item.
function isReferenced(error) {
  return error.payload?.constraint?.kind === 'foreign-key';
}

// Returns a `Problem` as its response. Throws every other exception as a text, which the host logs: the contract's errors
// are strings, so an `Error` would trap and its message would be lost.
function answer(work) {
  try {
    return work();
  } catch (error) {
    if (error instanceof Problem) return error.response;
    throw text(error);
  }
}

// A failed call of the host throws an error whose payload is the host's own: a `db-error`, or a string.
function text(error) {
  const payload = error?.payload;
  if (payload != null) return payload.message ?? String(payload);
  return error instanceof Error ? `${error}\n${error.stack}` : String(error);
}
