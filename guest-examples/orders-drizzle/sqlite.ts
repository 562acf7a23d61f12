// Controller for orders with drizzle on SQLite. Returns the same responses as `postgres.ts`, `mysql.ts` and
// `../orders-kysely`.

import { Problem, type Reader, created, dbError, router } from 'carya-guest';
import { sqlite } from 'carya-guest/drizzle';
import { eq, relations, sql } from 'drizzle-orm';
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';

const items = sqliteTable('items', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  priceCents: integer('price_cents').notNull(),
  stock: integer('stock').notNull(),
});
const orders = sqliteTable('orders', {
  id: integer('id').primaryKey(),
  itemId: integer('item_id').notNull(),
  quantity: integer('quantity').notNull(),
  priceCents: integer('price_cents').notNull(),
});
const itemsRelations = relations(items, ({ many }) => ({ orders: many(orders) }));
const ordersRelations = relations(orders, ({ one }) => ({
  item: one(items, { fields: [orders.itemId], references: [items.id] }),
}));
const schema = { items, orders, itemsRelations, ordersRelations };

const shop = (db: Reader) => sqlite(db, { schema });

function find(orm: ReturnType<typeof shop>, id: number) {
  const columns = { id: true, quantity: true } as const;
  const query = { where: eq(items.id, id), with: { orders: { columns, orderBy: [orders.id] } } };
  return orm.query.items.findFirst(query).sync();
}

router.get('/items/{id}', (req, db) => find(shop(db), req.intParam('id')) ?? Problem.notFound('there is no such item'));

// Orders an item several times. All orders succeed or none.
router.post('/items/{id}/orders', (req, db) => {
  const id = req.intParam('id');
  const quantities = req.json() as number[];
  const orm = shop(db);
  const keys: number[] = [];
  try {
    orm.transaction((tx) => {
      for (const quantity of quantities) {
        const stock = sql`${items.stock} - ${quantity}`;
        const [item] = tx.update(items).set({ stock }).where(eq(items.id, id)).returning().all();
        const order = { itemId: id, quantity, priceCents: item.priceCents };
        keys.push(tx.insert(orders).values(order).returning({ id: orders.id }).get().id);
      }
      // The error of this transaction undoes its own changes, and not those before.
      let kind: string | undefined;
      try {
        tx.transaction((nested) => {
          nested.update(items).set({ priceCents: 1 }).where(eq(items.id, id)).run();
          nested.insert(items).values({ name: 'Pecan pie', priceCents: 1, stock: 1 }).run();
        });
      } catch (error) {
        kind = dbError(error)?.constraint?.kind;
      }
      if (kind !== 'unique') throw new Error(`the nested transaction ended with ${kind}`);
    });
  } catch (error) {
    if (dbError(error)?.violates('check')) throw Problem.conflict('there is not that much of this item');
    throw error;
  }
  return created(`/items/${id}`, { keys, item: find(orm, id) });
});
