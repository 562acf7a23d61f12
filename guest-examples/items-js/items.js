// Controller for the shop's items in JavaScript: lists a page of items, reads one item, and creates, updates or deletes
// an item.
//
// Returns the same responses as `items` (Rust) and `items-ts`, byte for byte: change them together. Built for two
// engines, StarlingMonkey and QuickJS.

import { Checks, JsonText, Problem, created, json, noContent, onViolation, parseJson, router } from 'carya-guest';

// The rows stay the JSON text that the host wrote, so the guest neither parses nor serializes them.
router.get('/items', (req, db) => {
  const number = (name, otherwise, max) => {
    const text = req.query(name);
    const value = text === undefined ? otherwise : whole(text);
    return value >= 1 && value <= max ? value : null;
  };
  const [page, perPage] = [number('page', 1, 1_000_000), number('per_page', 20, 100)];
  new Checks()
    .check('page', page !== null, 'must be a whole number from 1 to 1000000')
    .check('per_page', perPage !== null, 'must be a whole number from 1 to 100')
    .finish();
  const sql = 'SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT ? OFFSET ?';
  const items = db.allJson(sql, [perPage, (page - 1) * perPage]);
  const total = db.value('SELECT count(*) FROM items');
  return new JsonText(`{"items":${items},"page":${page},"total":${total}}`);
});

router.get('/items/{id}', (req, db) => {
  const item = db.firstJson('SELECT id, name, price_cents, stock FROM items WHERE id = ?', [whole(req.params.id)]);
  return item ?? missing();
});

router.post('/items', (req, db) => {
  const draft = draftOf(req);
  const sql = 'INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id';
  const id = onViolation('unique', nameTaken, () => db.value(sql, Object.values(draft)));
  return created(`/items/${id}`, { id, ...draft });
});

router.put('/items/{id}', (req, db) => {
  const draft = draftOf(req);
  const id = whole(req.params.id);
  const sql = 'UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?';
  const { rowsAffected } = onViolation('unique', nameTaken, () => db.execute(sql, [...Object.values(draft), id]));
  return rowsAffected === 0 ? missing() : json({ id, ...draft });
});

router.delete('/items/{id}', (req, db) => {
  const hasOrders = () => Problem.conflict('there are orders of this item');
  const { rowsAffected } = onViolation('foreign-key', hasOrders, () => {
    return db.execute('DELETE FROM items WHERE id = ?', [whole(req.params.id)]);
  });
  return rowsAffected === 0 ? missing() : noContent();
});

// An item as the client sends it, with its members in the order of the response. Accepts a body of any media type.
function draftOf(req) {
  let body;
  try {
    body = parseJson(req.text());
  } catch {
    body = null;
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw Problem.badRequest('the body is not a JSON object');
  }
  const { name, price_cents, stock } = body;
  const isName = typeof name === 'string' && name !== '' && [...name].length <= 100; // code points, not UTF-16 units
  const isAmount = (value) => Number.isInteger(value) && value >= 0 && value <= 1_000_000_000;
  new Checks()
    .check('name', isName, 'must be a text of 1 to 100 characters')
    .check('price_cents', isAmount(price_cents), 'must be a whole number from 0 to 1000000000')
    .check('stock', isAmount(stock), 'must be a whole number from 0 to 1000000000')
    .finish();
  return { name, price_cents, stock };
}

// Parses decimal digits, at most as many as a number represents exactly. As a parameter, null is NULL, which equals no id.
function whole(text) {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : null;
}

const missing = () => Problem.notFound('there is no such item');
const nameTaken = () => Problem.conflict('another item has this name');
