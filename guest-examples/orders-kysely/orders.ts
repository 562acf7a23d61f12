// Controller for orders with kysely, on every engine. Returns the same responses as `../orders-drizzle`.

import { Problem, type Reader, created, dbError, router } from 'carya-guest';
import { CaryaDialect } from 'carya-guest/kysely';
import { type Generated, Kysely } from 'kysely';

interface Shop {
  items: { id: Generated<number>; name: string; price_cents: number; stock: number };
  orders: { id: Generated<number>; item_id: number; quantity: number; price_cents: number };
}

const shop = (db: Reader) => new Kysely<Shop>({ dialect: new CaryaDialect(db) });

async function find(orm: Kysely<Shop>, id: number) {
  const columns = ['id', 'name', 'price_cents as priceCents', 'stock'] as const;
  const item = await orm.selectFrom('items').select(columns).where('id', '=', id).executeTakeFirst();
  const query = orm.selectFrom('orders').select(['id', 'quantity']).where('item_id', '=', id).orderBy('id');
  return item && { ...item, orders: await query.execute() };
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
  const tx = await orm.startTransaction().execute();
  try {
    for (const quantity of quantities) {
      await tx.updateTable('items').set((eb) => ({ stock: eb('stock', '-', quantity) })).where('id', '=', id).execute();
      const item = await tx.selectFrom('items').select('price_cents').where('id', '=', id).executeTakeFirstOrThrow();
      const order = { item_id: id, quantity, price_cents: item.price_cents };
      const insert = tx.insertInto('orders').values(order);
      const key = db.dialect === 'mysql'
        ? (await insert.executeTakeFirstOrThrow()).insertId
        : (await insert.returning('id').executeTakeFirstOrThrow()).id;
      keys.push(Number(key));
    }
    // The error of this part undoes its own changes, and not those before.
    const part = await tx.savepoint('part').execute();
    let kind: string | undefined;
    try {
      await part.updateTable('items').set({ price_cents: 1 }).where('id', '=', id).execute();
      await part.insertInto('items').values({ name: 'Pecan pie', price_cents: 1, stock: 1 }).execute();
    } catch (error) {
      kind = dbError(error)?.constraint?.kind;
      await part.rollbackToSavepoint('part').execute();
    }
    if (kind !== 'unique') throw new Error(`the part ended with ${kind}`);
    await tx.commit().execute();
  } catch (error) {
    await tx.rollback().execute();
    if (dbError(error)?.violates('check')) throw Problem.conflict('there is not that much of this item');
    throw error;
  }
  return created(`/items/${id}`, { keys, item: await find(orm, id) });
});
