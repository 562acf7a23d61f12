// Controller for the shop's items in TypeScript: lists a page of items, reads one item, and creates, updates or deletes an
// item.
//
// Returns the same responses as `items` (Rust), byte for byte: change them together.

import {
  Checks, type HandlerRequest, JsonText, Problem, created, json, noContent, onViolation, parseJson, router,
} from 'carya-guest';

// An item as the client sends it, with its members in the order of the response.
interface Draft {
  name: string;
  price_cents: number;
  stock: number;
}

// The rows stay the JSON text that the host wrote, so the guest neither parses nor serializes them.
router.get('/items', (req, db) => {
  const [page, perPage] = [number(req, 'page', 1, 1_000_000), number(req, 'per_page', 20, 100)];
  new Checks()
    .check('page', page > 0, 'must be a whole number from 1 to 1000000')
    .check('per_page', perPage > 0, 'must be a whole number from 1 to 100')
    .finish();
  const sql = 'SELECT id, name, price_cents, stock FROM items ORDER BY id LIMIT ? OFFSET ?';
  const items = db.allJson(sql, [perPage, (page - 1) * perPage]);
  const total = db.value<number>('SELECT count(*) FROM items');
  return new JsonText(`{"items":${items},"page":${page},"total":${total}}`);
});

router.get('/items/{id}', (req, db) => {
  const item = db.firstJson('SELECT id, name, price_cents, stock FROM items WHERE id = ?', [whole(req.params.id)]);
  return item ?? missing();
});

router.post('/items', (req, db) => {
  const draft = parse(req);
  const sql = 'INSERT INTO items (name, price_cents, stock) VALUES (?, ?, ?) RETURNING id';
  const { name, price_cents, stock } = draft;
  const id = onViolation('unique', nameTaken, () => db.value<number>(sql, [name, price_cents, stock]));
  return created(`/items/${id}`, { id, ...draft });
});

router.put('/items/{id}', (req, db) => {
  const draft = parse(req);
  const id = whole(req.params.id);
  const sql = 'UPDATE items SET name = ?, price_cents = ?, stock = ? WHERE id = ?';
  const { name, price_cents, stock } = draft;
  const { rowsAffected } = onViolation('unique', nameTaken, () => db.execute(sql, [name, price_cents, stock, id]));
  return rowsAffected === 0 ? missing() : json({ id, ...draft });
});

router.delete('/items/{id}', (req, db) => {
  const hasOrders = () => Problem.conflict('there are orders of this item');
  const { rowsAffected } = onViolation('foreign-key', hasOrders, () => {
    return db.execute('DELETE FROM items WHERE id = ?', [whole(req.params.id)]);
  });
  return rowsAffected === 0 ? missing() : noContent();
});

// Parses a body of any media type.
function parse(req: HandlerRequest): Draft {
  let body: unknown;
  try {
    body = parseJson(req.text());
  } catch {
    body = null;
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw Problem.badRequest('the body is not a JSON object');
  }
  const { name, price_cents, stock } = body as Partial<Record<keyof Draft, unknown>>;
  const checks = new Checks();
  checks.check('name', isName(name), 'must be a text of 1 to 100 characters');
  checks.check('price_cents', isAmount(price_cents), 'must be a whole number from 0 to 1000000000');
  checks.check('stock', isAmount(stock), 'must be a whole number from 0 to 1000000000');
  checks.finish();
  return { name, price_cents, stock } as Draft;
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && [...value].length <= 100; // code points, not UTF-16 units
}

function isAmount(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 1_000_000_000;
}

// Returns a query parameter from 1 to `most`, or 0 if it is not valid.
function number(req: HandlerRequest, name: string, otherwise: number, most: number): number {
  const text = req.query(name);
  const value = text === undefined ? otherwise : (whole(text) ?? 0);
  return value <= most ? value : 0;
}

// Parses decimal digits, at most as many as a number represents exactly. As a parameter, null is NULL, which equals no id.
function whole(text: string): number | null {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : null;
}

const missing = () => Problem.notFound('there is no such item');
const nameTaken = () => Problem.conflict('another item has this name');
