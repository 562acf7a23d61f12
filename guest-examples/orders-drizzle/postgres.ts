// Controller for orders with drizzle on PostgreSQL. Returns the same responses as `sqlite.ts`.

import { Problem, type Reader, created, dbError, router } from 'carya-guest';
import { postgres } from 'carya-guest/drizzle';
import { eq, relations, sql } from 'drizzle-orm';
import { bigint, pgTable, text } from 'drizzle-orm/pg-core';

const items = pgTable('items', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  name: text('name').notNull(),
  priceCents: bigint('price_cents', { mode: 'number' }).notNull(),
  stock: bigint('stock', { mode: 'number' }).notNull(),
});
const orders = pgTable('orders', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  itemId: bigint('item_id', { mode: 'number' }).notNull(),
  quantity: bigint('quantity', { mode: 'number' }).notNull(),
  priceCents: bigint('price_cents', { mode: 'number' }).notNull(),
});
const itemsRelations = relations(items, ({ many }) => ({ orders: many(orders) }));
const ordersRelations = relations(orders, ({ one }) => ({
  item: one(items, { fields: [orders.itemId], references: [items.id] }),
}));
const schema = { items, orders, itemsRelations, ordersRelations };

const shop = (db: Reader) => postgres(db, { schema });

async function find(orm: ReturnType<typeof shop>, id: number) {
  const columns = { id: true, quantity: true } as const;
  return orm.query.items.findFirst({ where: eq(items.id, id), with: { orders: { columns, orderBy: [orders.id] } } });
}

router.get('/items/{id}', async (req, db) => {
  return (await find(shop(db), req.intParam('id'))) ?? Problem.notFound('there is no such item');
});

// Orders an item several times. All orders succeed or none.
router.post('/items/{id}/orders', async (req, db) => {
  const id = req.intParam('id');
  const quantities = req.json() as number[];
  const orm = shop(db);
  const keys: number[] = [];
  try {
    await orm.transaction(async (tx) => {
      for (const quantity of quantities) {
        const stock = sql`${items.stock} - ${quantity}::int8`;
        const [item] = await tx.update(items).set({ stock }).where(eq(items.id, id)).returning();
        const order = { itemId: id, quantity, priceCents: item.priceCents };
        const [{ key }] = await tx.insert(orders).values(order).returning({ key: orders.id });
        keys.push(key);
      }
      // The error of this transaction undoes its own changes, and not those before.
      const failed = tx.transaction(async (nested) => {
        await nested.update(items).set({ priceCents: 1 }).where(eq(items.id, id));
        await nested.insert(items).values({ name: 'Pecan pie', priceCents: 1, stock: 1 });
      });
      const kind = await failed.then(() => 'success', (error) => dbError(error)?.constraint?.kind);
      if (kind !== 'unique') throw new Error(`the nested transaction ended with ${kind}`);
    });
  } catch (error) {
    if (dbError(error)?.violates('check')) throw Problem.conflict('there is not that much of this item');
    throw error;
  }
  return created(`/items/${id}`, { keys, item: await find(orm, id) });
});
