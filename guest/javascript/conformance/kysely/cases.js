// Cases of kysely. A case receives the database and its dialect.

import { CamelCasePlugin, NoResultError, ParseJSONResultsPlugin, sql } from 'kysely';
import * as mysqlHelpers from 'kysely/helpers/mysql';
import * as postgresHelpers from 'kysely/helpers/postgres';
import * as sqliteHelpers from 'kysely/helpers/sqlite';

const helpers = { sqlite: sqliteHelpers, postgresql: postgresHelpers, mysql: mysqlHelpers };

// Classes of errors that the mapper documents.
export const CLASSES = { NoResultError };

// Returns the cases of a dialect by their names.
export function casesOf(dialect) {
  return { ...common, ...(dialect === 'mysql' ? {} : returning), ...own[dialect] };
}

// Inserts a row and returns its generated key.
async function insertKey(db, dialect, values) {
  const insert = db.insertInto('authors').values(values);
  if (dialect === 'mysql') return Number((await insert.executeTakeFirstOrThrow()).insertId);
  return (await insert.returning('id').executeTakeFirstOrThrow()).id;
}

const countries = (db) => db.selectFrom('authors').select('country').orderBy('id').execute();

// Returns the number of authors of a country.
async function countOf(db, country) {
  const { found } = await db.selectFrom('authors').select((eb) => eb.fn.countAll().as('found')).where('country', '=', country)
    .executeTakeFirstOrThrow();
  return Number(found);
}

const common = {
  'select all columns': (db) => db.selectFrom('books').selectAll().orderBy('id').execute(),
  'select with aliases': (db) => db.selectFrom('books as b').select(['b.id as key', 'b.title']).orderBy('b.id').execute(),
  'where with and, or, not': (db) =>
    db.selectFrom('books').select('id')
      .where((eb) => eb.or([eb.and([eb('pages', '>=', 80), eb('pages', '<', 210)]), eb.not(eb('title', '!=', 'Almond'))]))
      .orderBy('id').execute(),
  'limit and offset': (db) => db.selectFrom('books').select('id').orderBy('pages', 'desc').limit(2).offset(1).execute(),
  'order by several columns': (db) => db.selectFrom('books').select('id').orderBy('author_id', 'desc').orderBy('pages').execute(),
  'order with nulls': (db) =>
    db.selectFrom('books').select('id').orderBy((eb) => eb('rating', 'is', null)).orderBy('rating', 'desc').orderBy('id')
      .execute(),
  'pages by a cursor': async (db) => {
    const after = (id) => db.selectFrom('books').select('id').where('id', '>', id).orderBy('id').limit(3).execute();
    const first = await after(0);
    return [first, await after(first.at(-1).id)];
  },
  'no rows': (db) => db.selectFrom('books').selectAll().where('id', '=', 4711).execute(),
  'the first row': async (db) => [
    await db.selectFrom('books').select('title').where('id', '=', 2).executeTakeFirst(),
    await db.selectFrom('books').select('title').where('id', '=', 4711).executeTakeFirst(),
  ],
  'a missing row as an error': (db) => db.selectFrom('books').select('title').where('id', '=', 4711).executeTakeFirstOrThrow(),

  'inner join': (db) =>
    db.selectFrom('books').innerJoin('authors', 'authors.id', 'books.author_id').select(['authors.name', 'books.title'])
      .orderBy('books.id').execute(),
  'left join without a partner': (db) =>
    db.selectFrom('authors').leftJoin('books', 'books.author_id', 'authors.id')
      .select(['authors.name', 'books.title', 'books.rating']).orderBy('authors.id').orderBy('books.id').execute(),
  'join with conditions': (db) =>
    db.selectFrom('authors as a').leftJoin('books as b', (join) => join.onRef('b.author_id', '=', 'a.id').on('b.pages', '>', 100))
      .select(['a.id', 'b.title']).orderBy('a.id').orderBy('b.id').execute(),
  'self join': (db) =>
    db.selectFrom('authors as a').innerJoin('authors as b', 'a.country', 'b.country').whereRef('a.id', '<', 'b.id')
      .select(['a.id', 'b.id as other']).execute(),
  'many to many': (db) =>
    db.selectFrom('authors').innerJoin('books', 'books.author_id', 'authors.id')
      .innerJoin('book_tags', 'book_tags.book_id', 'books.id')
      .select(['authors.name', 'book_tags.tag']).orderBy('books.id').orderBy('book_tags.tag').execute(),

  aggregates: (db) =>
    db.selectFrom('books').select((eb) => [
      eb.fn.countAll().as('all'), eb.fn.count('rating').as('rated'), eb.fn.count('author_id').distinct().as('authors'),
      eb.fn.min('pages').as('least'), eb.fn.max('price').as('most'), eb.fn.sum('pages').as('pages'), eb.fn.avg('rating')
        .as('rating'),
    ]).execute(),
  'aggregates of no rows': (db) =>
    db.selectFrom('books').select((eb) => [eb.fn.countAll().as('all'), eb.fn.sum('pages').as('pages')]).where('id', '<', 0)
      .execute(),
  'group by and having': (db) =>
    db.selectFrom('books').select((eb) => ['author_id', eb.fn.countAll().as('found')]).groupBy('author_id')
      .having((eb) => eb.fn.countAll(), '>', 1).orderBy('author_id').execute(),
  distinct: (db) => db.selectFrom('authors').select('country').distinct().orderBy('country').execute(),

  'subquery in from': (db) =>
    db.selectFrom((eb) => eb.selectFrom('books').select(['id', 'pages']).where('pages', '>', 100).as('long'))
      .select('long.id').where('long.pages', '<', 300).orderBy('long.id').execute(),
  'subquery in where': (db) =>
    db.selectFrom('authors').select('name').where('id', 'in', (eb) => eb.selectFrom('books').select('author_id')
      .where('pages', '>', 100))
      .orderBy('id').execute(),
  'subquery as a column': (db) =>
    db.selectFrom('authors').select((eb) => [
      'name', eb.selectFrom('books').whereRef('books.author_id', '=', 'authors.id').select(eb.fn.countAll().as('found'))
        .as('books'),
    ]).orderBy('id').execute(),
  exists: (db) =>
    db.selectFrom('authors').select('name')
      .where((eb) => eb.not(eb.exists(eb.selectFrom('books').select('id').whereRef('books.author_id', '=', 'authors.id'))))
      .execute(),
  'common table expressions': (db) =>
    db.with('counts', (eb) => eb.selectFrom('books').select((e) => ['author_id', e.fn.countAll().as('found')])
      .groupBy('author_id'))
      .selectFrom('authors').leftJoin('counts', 'counts.author_id', 'authors.id').select(['authors.name', 'counts.found'])
      .orderBy('authors.id').execute(),
  'recursive common table expressions': (db) =>
    db.withRecursive('numbers(n)', (eb) => eb.selectNoFrom(sql`1`.as('n'))
      .unionAll(eb.selectFrom('numbers').select(sql`n + 1`.as('n')).where('n', '<', 5)))
      .selectFrom('numbers').select('n').orderBy('n').execute(),
  'set operations': async (db) => {
    const all = db.selectFrom('authors').select('id');
    const written = db.selectFrom('books').select('author_id as id');
    return [
      await all.union(db.selectFrom('books').select('id')).orderBy('id').execute(),
      await all.unionAll(written).orderBy('id').execute(),
      await all.intersect(written).orderBy('id').execute(),
      await all.except(written).execute(),
    ];
  },
  'window functions': (db) =>
    db.selectFrom('books').select((eb) => [
      'id', eb.fn.agg('row_number').over((over) => over.partitionBy('author_id').orderBy('pages')).as('place'),
    ]).orderBy('id').execute(),

  case: (db) =>
    db.selectFrom('books').select((eb) => [
      'id', eb.case().when('pages', '>', 200).then('long').when('pages', '>', 100).then('medium').else('short').end().as('size'),
    ]).orderBy('id').execute(),
  'like with an escape': async (db) => [
    await db.selectFrom('books').select('id').where('title', 'like', '%nut%').orderBy('id').execute(),
    await db.selectFrom('books').select('id').where(sql`title like ${'%!_nut 50!%'} escape '!'`).execute(),
  ],
  'lists of values': async (db) => [
    await db.selectFrom('books').select('id').where('id', 'in', [1, 3, 4711]).orderBy('id').execute(),
    await db.selectFrom('books').select('id').where('title', 'not in', ['Pecan', 'Walnut']).orderBy('id').execute(),
  ],
  'an empty list of values': (db) => db.selectFrom('books').select('id').where('id', 'in', []).execute(),
  'comparison with null': async (db) => [
    await db.selectFrom('authors').select('id').where('email', 'is', null).orderBy('id').execute(),
    await db.selectFrom('authors').select('id').where('email', '=', null).execute(),
    await db.selectFrom('books').select('id').where('rating', 'is not', null).orderBy('id').execute(),
  ],
  'functions and casts': (db) =>
    db.selectFrom('authors').select((eb) => [
      eb.fn.coalesce('email', sql`'none'`).as('email'), eb.fn('upper', ['country']).as('country'), sql`length(name)`.as('length'),
    ]).orderBy('id').execute(),
  between: (db) => db.selectFrom('books').select('id').where((eb) => eb.between('pages', 80, 210)).orderBy('id').execute(),
  'arithmetic of columns': (db) =>
    db.selectFrom('books').select((eb) => ['id', eb('pages', '*', 2).as('twice'), eb.neg('pages').as('negative')])
      .orderBy('id').execute(),
  tuples: (db) =>
    db.selectFrom('book_tags').selectAll()
      .where((eb) => eb(eb.refTuple('book_id', 'tag'), 'in', [eb.tuple(1, 'nut'), eb.tuple(4, 'rare')])).orderBy('book_id')
      .execute(),

  'a template': async (db) => {
    const list = [2, 4];
    const { rows } = await sql`select ${sql.ref('title')} from ${sql.table('books')} where id in (${sql.join(list)}) order by id`.execute(db);
    return rows;
  },
  'parts of a template': async (db) => {
    const { rows } = await sql`select ${sql.lit(1)} as one, ${sql.lit("it's")} as quoted, ${sql.id('id')} from ${sql.raw('books')} where id = ${3}`.execute(db);
    return rows;
  },
  'a compiled query': async (db) => {
    const { rows } = await db.executeQuery(db.selectFrom('books').select('title').where('id', '=', 2).compile());
    return rows;
  },
  'a dynamic query': (db) => {
    const { ref } = db.dynamic;
    return db.selectFrom('books').select([ref('title')]).$if(true, (query) => query.where(ref('pages'), '>', 50))
      .$if(false, (query) => query.limit(1)).$call((query) => query.orderBy(ref('id'), 'desc')).execute();
  },
  'names in another case': async (db) => {
    const camel = db.withPlugin(new CamelCasePlugin());
    await camel.insertInto('books').values({ authorId: 4, title: 'Fig', pages: 7, price: '1.50' }).execute();
    return camel.selectFrom('books').innerJoin('authors', 'authors.id', 'books.authorId')
      .select(['books.authorId', 'authors.name as authorName'])
      .where('books.pages', '=', 7).execute();
  },
  'rows one by one': async (db) => {
    const found = [];
    for await (const row of db.selectFrom('books').select('id').orderBy('id').stream()) found.push(row);
    return found;
  },
  'related rows as a document': async (db, dialect) => {
    const { jsonArrayFrom, jsonObjectFrom } = helpers[dialect];
    return db.withPlugin(new ParseJSONResultsPlugin()).selectFrom('books').select((eb) => [
      'id',
      jsonArrayFrom(eb.selectFrom('book_tags').select('book_tags.tag').whereRef('book_tags.book_id', '=', 'books.id')
        .orderBy('book_tags.tag')).as('tags'),
      jsonObjectFrom(eb.selectFrom('authors').select(['authors.name', 'authors.email'])
        .whereRef('authors.id', '=', 'books.author_id')).as('author'),
    ]).orderBy('id').execute();
  },

  'insert one and its key': async (db, dialect) => {
    const id = await insertKey(db, dialect, { name: 'Eve', country: 'DE' });
    return { id, row: await db.selectFrom('authors').selectAll().where('id', '=', id).execute() };
  },
  'the result of an insert': async (db, dialect) => {
    const { insertId, numInsertedOrUpdatedRows } = await db.insertInto('authors').values({ name: 'Eve' }).executeTakeFirst();
    // PostgreSQL has no such key.
    return { insertId: dialect === 'postgresql' ? undefined : insertId, numInsertedOrUpdatedRows };
  },
  'insert with defaults': async (db) => {
    await db.insertInto('authors').values({ name: 'Eve' }).execute();
    return db.selectFrom('authors').selectAll().where('name', '=', 'Eve').execute();
  },
  'insert many': async (db) => {
    const values = Array.from({ length: 50 }, (_, index) => ({ name: `Author ${index}`, country: 'XX' }));
    const { numInsertedOrUpdatedRows } = await db.insertInto('authors').values(values).executeTakeFirst();
    return { numInsertedOrUpdatedRows, found: await countOf(db, 'XX') };
  },
  'insert from a query': async (db) => {
    await db.insertInto('authors').columns(['name', 'country'])
      .expression((eb) => eb.selectFrom('books').select(['title', sql`'XX'`.as('country')]).orderBy('id')).execute();
    return db.selectFrom('authors').select(['id', 'name']).where('country', '=', 'XX').orderBy('id').execute();
  },
  'update and count': async (db) => ({
    some: await db.updateTable('books').set({ price: '1.25' }).where('author_id', '=', 1).executeTakeFirst()
      .then(({ numUpdatedRows }) => numUpdatedRows),
    none: await db.updateTable('books').set({ price: '1.25' }).where('id', '=', 4711).executeTakeFirst()
      .then(({ numUpdatedRows }) => numUpdatedRows),
    rows: await db.selectFrom('books').select(['id', 'price']).orderBy('id').execute(),
  }),
  'update with an expression': async (db) => {
    await db.updateTable('books').set((eb) => ({ pages: eb('pages', '+', 10), rating: null })).where('id', '<', 3).execute();
    return db.selectFrom('books').select(['id', 'pages', 'rating']).orderBy('id').execute();
  },
  'delete and count': async (db) => ({
    some: await db.deleteFrom('book_tags').where('tag', '=', 'nut').executeTakeFirst()
      .then(({ numDeletedRows }) => numDeletedRows),
    none: await db.deleteFrom('book_tags').where('tag', '=', 'nut').executeTakeFirst()
      .then(({ numDeletedRows }) => numDeletedRows),
    left: await db.selectFrom('book_tags').selectAll().orderBy('book_id').execute(),
  }),

  'a transaction commits': async (db) => {
    const result = await db.transaction().execute(async (tx) => {
      await tx.updateTable('authors').set({ country: 'XX' }).where('id', '=', 1).execute();
      return countOf(tx, 'XX');
    });
    return { result, after: await countOf(db, 'XX') };
  },
  'an exception undoes a transaction': async (db) => {
    const failed = db.transaction().execute(async (tx) => {
      await tx.updateTable('authors').set({ country: 'XX' }).execute();
      throw new RangeError('no');
    });
    return { error: await failed.catch(String), after: await countOf(db, 'XX') };
  },
  'an error of a statement undoes a transaction': async (db) => {
    const failed = db.transaction().execute(async (tx) => {
      await tx.updateTable('authors').set({ country: 'XX' }).where('id', '=', 2).execute();
      await tx.insertInto('authors').values({ name: 'Ada' }).execute();
    });
    return { failed: await failed.then(() => false, () => true), after: await countOf(db, 'XX') };
  },
  'a controlled transaction': async (db) => {
    const first = await db.startTransaction().execute();
    await first.updateTable('authors').set({ country: 'XX' }).where('id', '=', 1).execute();
    await first.commit().execute();
    const second = await db.startTransaction().execute();
    await second.updateTable('authors').set({ country: 'XX' }).where('id', '=', 2).execute();
    await second.rollback().execute();
    return countries(db);
  },
  savepoints: async (db) => {
    const tx = await db.startTransaction().execute();
    await tx.updateTable('authors').set({ country: '1' }).where('id', '=', 1).execute();
    const outer = await tx.savepoint('outer_part').execute();
    await outer.updateTable('authors').set({ country: '2' }).where('id', '=', 2).execute();
    const inner = await outer.savepoint('inner_part').execute();
    await inner.updateTable('authors').set({ country: '3' }).where('id', '=', 3).execute();
    await inner.rollbackToSavepoint('inner_part').execute();
    await inner.updateTable('authors').set({ country: '4' }).where('id', '=', 4).execute();
    await inner.releaseSavepoint('inner_part').execute();
    await outer.releaseSavepoint('outer_part').execute();
    await tx.commit().execute();
    return countries(db);
  },
  'a savepoint after an error': async (db) => {
    const tx = await db.startTransaction().execute();
    await tx.updateTable('authors').set({ country: '1' }).where('id', '=', 1).execute();
    const part = await tx.savepoint('part').execute();
    const failed = part.insertInto('authors').values({ name: 'Ada' }).execute();
    const isFailed = await failed.then(() => false, () => true);
    await part.rollbackToSavepoint('part').execute();
    await part.updateTable('authors').set({ country: '2' }).where('id', '=', 2).execute();
    await tx.commit().execute();
    return { isFailed, rows: await countries(db) };
  },
  'an error that is caught inside a transaction': async (db) => {
    await db.transaction().execute(async (tx) => {
      await tx.updateTable('authors').set({ country: 'XX' }).where('id', '=', 1).execute();
      await tx.insertInto('authors').values({ name: 'Ada' }).execute().catch(() => {});
    });
    return countries(db);
  },
  'many transactions, one after another': async (db) => {
    for (let round = 0; round < 40; round += 1) {
      const failed = db.transaction().execute(async (tx) => {
        await tx.insertInto('authors').values({ name: `Author ${round}`, country: 'XX' }).execute();
        if (round % 2 === 1) throw new Error('odd');
      });
      await failed.catch(() => {});
    }
    return countOf(db, 'XX');
  },
  'transactions at the same time': async (db) => {
    const work = (id, fails) => db.transaction().execute(async (tx) => {
      await tx.updateTable('authors').set({ country: 'XX' }).where('id', '=', id).execute();
      await countOf(tx, 'XX');
      if (fails) throw new Error('no');
    });
    const results = await Promise.allSettled([work(1, false), work(2, true), work(3, false), work(4, true)]);
    return { results: results.map(({ status }) => status), rows: await countries(db) };
  },
  'a statement during a transaction': async (db) => {
    const failed = db.transaction().execute(async (tx) => {
      await countOf(tx, 'XX');
      await tx.updateTable('authors').set({ country: 'XX' }).where('id', '=', 1).execute();
      await countOf(tx, 'XX');
      throw new Error('no');
    });
    const results = await Promise.allSettled([failed, db.updateTable('authors').set({ country: 'XX' }).where('id', '=', 2)
      .execute()]);
    return { results: results.map(({ status }) => status), rows: await countries(db) };
  },

  'a unique constraint': (db) => db.insertInto('authors').values({ name: 'Ada' }).execute(),
  'a foreign key': (db) => db.insertInto('books').values({ author_id: 4711, title: 'Lost', pages: 1, price: '1' }).execute(),
  'a check': (db) => db.updateTable('books').set({ pages: 0 }).where('id', '=', 1).execute(),
  'a value that must not be null': (db) => db.insertInto('books').values({ author_id: 1, title: null, pages: 1, price: '1' })
    .execute(),
  'a table that does not exist': (db) => db.selectFrom('absent').selectAll().execute(),
  'a syntax error': (db) => sql`select from where`.execute(db),

  'values of all types': (db) =>
    db.selectFrom('samples').select(['id', 'big', 'exact', 'approximate', 'words', 'raw']).execute(),
  'booleans': async (db) => {
    await db.insertInto('samples').values([{ flag: true }, { flag: false }, { flag: null }]).execute();
    return db.selectFrom('samples').select(['id', 'flag']).orderBy('id').execute();
  },
  'documents': async (db) => {
    await db.insertInto('samples').values([{ document: '{"a":{"b":[1,2.5,true,null,"ü"]}}' }, { document: '[]' }, { document: '"text"' }]).execute();
    return db.selectFrom('samples').select('document').orderBy('id').execute();
  },
  'documents, parsed by the plugin': async (db) => {
    await db.insertInto('samples').values([{ document: '{"a":{"b":[1,2.5,true,null,"ü"]}}' }, { document: '[]' }]).execute();
    return db.withPlugin(new ParseJSONResultsPlugin()).selectFrom('samples').select('document').orderBy('id').execute();
  },
  'values of all types, written': async (db) => {
    const columns = ['big', 'exact', 'approximate', 'words', 'raw'];
    const sample = await db.selectFrom('samples').select(columns).executeTakeFirstOrThrow();
    await db.insertInto('samples').values(sample).execute();
    return db.selectFrom('samples').select(columns).where('id', '=', 2).execute();
  },
  'nulls of all types': async (db) => {
    const [{ id, ...sample }] = await db.selectFrom('samples').selectAll().execute();
    await db.insertInto('samples').values(Object.fromEntries(Object.keys(sample).map((name) => [name, null]))).execute();
    return db.selectFrom('samples').selectAll().where('id', '=', 2).execute();
  },
  'texts': async (db) => {
    const texts = ['', ' ', "it's", 'a "quoted" \\ text', 'line\nline', 'Größe Ω Ж 語 🌰', 'e\u0301', '%_'];
    await db.insertInto('samples').values(texts.map((words) => ({ words }))).execute();
    const rows = await db.selectFrom('samples').select('words').where('id', '>', 1).orderBy('id').execute();
    return rows.map(({ words }, index) => words === texts[index]);
  },
  'bytes': async (db) => {
    const values = [[], [0], [255, 254, 0, 1]];
    await db.insertInto('samples').values(values.map((bytes) => ({ raw: new Uint8Array(bytes) }))).execute();
    return db.selectFrom('samples').select('raw').where('id', '>', 1).orderBy('id').execute();
  },
  'numbers': async (db) => {
    await db.insertInto('samples').values([0.1 + 0.2, -1e-7, 1.5e300, 7, -0.5].map((approximate) => ({ approximate }))).execute();
    return db.selectFrom('samples').select('approximate').where('id', '>', 1).orderBy('id').execute();
  },
  'decimal numbers': async (db) => {
    await db.insertInto('samples').values(['0.5', '-1.25', '7'].map((exact) => ({ exact }))).execute();
    return db.selectFrom('samples').select('exact').where('id', '>', 1).orderBy('id').execute();
  },
  'large integers': async (db) => {
    await db.insertInto('samples').values([{ big: 2n ** 53n + 1n }, { big: -(2n ** 53n) - 1n }]).execute();
    return db.selectFrom('samples').select((eb) => eb.cast('big', 'char(20)').as('big')).where('id', '>', 1).orderBy('id')
      .execute();
  },
  'large integers as integers': async (db) => {
    await db.insertInto('samples').values([{ big: 2n ** 53n + 1n }]).execute();
    return db.selectFrom('samples').select('big').where('id', '>', 1).execute();
  },
};

const returning = {
  'insert returning': (db) =>
    db.insertInto('authors').values([{ name: 'Eve', country: 'DE' }, { name: 'Finn', country: 'FI' }]).returningAll().execute(),
  'update returning': (db) =>
    db.updateTable('books').set((eb) => ({ pages: eb('pages', '+', 1) })).where('id', '=', 1).returning(['id', 'pages'])
      .execute(),
  'delete returning': (db) => db.deleteFrom('book_tags').where('book_id', '=', 4).returningAll().execute(),
  'insert or update': (db) =>
    db.insertInto('authors').values([{ name: 'Ada', country: 'XX' }, { name: 'Eve', country: 'YY' }])
      .onConflict((oc) => oc.column('name').doUpdateSet((eb) => ({ country: eb.ref('excluded.country') })))
      .returning(['id', 'country']).execute(),
  'insert or nothing': async (db) => {
    const insert = db.insertInto('authors').values([{ name: 'Ada' }, { name: 'Eve' }])
      .onConflict((oc) => oc.column('name').doNothing());
    const { numInsertedOrUpdatedRows } = await insert.executeTakeFirst();
    return { numInsertedOrUpdatedRows, rows: await db.insertInto('authors').values({ name: 'Ada' })
      .onConflict((oc) => oc.doNothing()).returningAll().execute() };
  },
  'update from a table': (db) =>
    db.updateTable('books').from('authors').set((eb) => ({ title: sql`${eb.ref('books.title')} || ' by ' || ${eb.ref('authors.name')}` }))
      .whereRef('authors.id', '=', 'books.author_id').where('books.id', '=', 5).returning('books.title').execute(),
  'full join': (db) =>
    db.selectFrom('authors').fullJoin('books', (join) => join.onRef('books.author_id', '=', 'authors.id')
      .on('books.pages', '>', 250))
      .select(['authors.id as author', 'books.id as book']).orderBy(sql`coalesce(authors.id, 99)`).orderBy('books.id').execute(),
  'nulls first and last': (db) => db.selectFrom('books').select('id').orderBy('rating', (order) => order.desc().nullsLast())
    .orderBy('id').execute(),
};

const own = {
  sqlite: {
    'dates and documents': (db) => db.selectFrom('samples').select(['day', 'moment', 'document']).execute(),
    'replace': async (db) => {
      await db.replaceInto('book_tags').values({ book_id: 4, tag: 'rare' }).execute();
      return db.selectFrom('book_tags').selectAll().where('book_id', '=', 4).execute();
    },
    'a path of a document': (db) =>
      db.selectFrom('samples').select((eb) => eb.ref('document', '->>').key('a').at(2).as('value')).execute(),
    'tables of the database': (db) => tablesOf(db),
  },
  postgresql: {
    'distinct on': (db) =>
      db.selectFrom('books').distinctOn('author_id').select(['author_id', 'id']).orderBy('author_id').orderBy('pages', 'desc')
        .execute(),
    'like without case': (db) => db.selectFrom('books').select('id').where('title', 'ilike', '%NUT%').orderBy('id').execute(),
    'an insert in a common table expression': (db) =>
      db.with('made', (eb) => eb.insertInto('authors').values({ name: 'Eve' }).returning('id')).selectFrom('made')
        .select('id').execute(),
    'a merge': async (db) => {
      await db.mergeInto('authors as target').using('books as source', 'source.title', 'target.name')
        .whenNotMatched().thenInsertValues((eb) => ({ name: eb.ref('source.title') })).execute();
      return countOf(db, 'none');
    },
    'lateral join': (db) =>
      db.selectFrom('authors').leftJoinLateral(
        (eb) => eb.selectFrom('books').select('title').whereRef('books.author_id', '=', 'authors.id').orderBy('pages', 'desc')
          .limit(1).as('longest'),
        (join) => join.onTrue(),
      ).select(['authors.name', 'longest.title']).orderBy('authors.id').execute(),
    'delete with another table': (db) =>
      db.deleteFrom('book_tags').using('books').whereRef('books.id', '=', 'book_tags.book_id').where('books.pages', '<', 100)
        .returning('book_tags.tag').execute(),
    'rows that are locked': (db) => db.transaction().execute(async (tx) => [
      await tx.selectFrom('authors').select('id').where('id', '=', 1).forUpdate().execute(),
      await tx.selectFrom('authors').select('id').where('id', '=', 2).forUpdate().skipLocked().execute(),
      await tx.selectFrom('authors').select('id').where('id', '=', 3).forShare().noWait().execute(),
    ]),
    'schemas': (db) => db.withSchema('public').selectFrom('books').select('id').where('id', '=', 1).execute(),
    'an array as a parameter': (db) => db.selectFrom('books').select('id').where('id', '=', sql`any(${[1, 3]})`).orderBy('id')
      .execute(),
    'arrays': async (db) => {
      await db.insertInto('samples').values([{ numbers: [], labels: [] }, { numbers: [1, null], labels: ['', 'a,b', '"', '\\', 'NULL', '{}'] }]).execute();
      return db.selectFrom('samples').select(['numbers', 'labels']).orderBy('id').execute();
    },
    'arrays of other types': async (db) => {
      const { rows } = await sql`select array[true, null, false] as booleans, array[0.5, -1e300]::float8[] as floats,
        array['a b', 'c']::varchar[] as names, array['6f1ed002-ab59-4c1f-8d5c-0d9c1b0a1f11']::uuid[] as keys,
        array['{"a": "\\"b"}', '[1]']::jsonb[] as documents, array[[1, 2], [3, 4]] as nested`.execute(db);
      return rows;
    },
    'a document as a parameter': async (db) => {
      await db.insertInto('samples').values({ document: { a: 'ü' } }).execute();
      return db.selectFrom('samples').select(['document']).where('id', '=', 2).execute();
    },
    'a path of a document': (db) =>
      db.selectFrom('samples').select((eb) => eb.ref('document', '->').key('a').as('value')).execute(),
    'other types': (db) => db.selectFrom('samples').select(['clock', 'key']).execute(),
    'dates': (db) => db.selectFrom('samples').select(['day', 'moment', 'zoned']).execute(),
    'dates as parameters': async (db) => {
      const moment = new Date('2026-06-01T12:00:00.250Z');
      await db.insertInto('samples').values({ moment, zoned: moment }).execute();
      return db.selectFrom('samples').select('id').where('zoned', '=', moment).execute();
    },
    'dates as texts': async (db) => {
      await db.insertInto('samples').values({ day: '2026-06-01', moment: '2026-06-01 12:00:00.25', zoned: '2026-06-01T12:00:00Z' }).execute();
      const text = (name) => sql`${sql.ref(name)}::text`.as(name);
      return db.selectFrom('samples').select([text('day'), text('moment'), text('zoned')])
        .where('zoned', '=', '2026-06-01T12:00:00Z').execute();
    },
    'an isolation level': (db) => db.transaction().setIsolationLevel('serializable').execute((tx) => countOf(tx, 'UK')),
    'tables of the database': (db) => tablesOf(db),
  },
  mysql: {
    'insert or update': async (db) => {
      const insert = db.insertInto('authors').values([{ name: 'Ada', country: 'XX' }, { name: 'Eve', country: 'YY' }])
        .onDuplicateKeyUpdate({ country: sql`values(country)` });
      const { numInsertedOrUpdatedRows } = await insert.executeTakeFirst();
      return { numInsertedOrUpdatedRows, rows: await countries(db) };
    },
    'insert or nothing': async (db) => {
      const { numInsertedOrUpdatedRows } = await db.insertInto('authors').ignore().values([{ name: 'Ada' }, { name: 'Eve' }])
        .executeTakeFirst();
      return { numInsertedOrUpdatedRows, rows: await countries(db) };
    },
    'update some rows': async (db) => {
      const { numUpdatedRows } = await db.updateTable('books').set({ title: 'Short' }).orderBy('pages').limit(2)
        .executeTakeFirst();
      return { numUpdatedRows, rows: await db.selectFrom('books').select('id').where('title', '=', 'Short').orderBy('id')
        .execute() };
    },
    'update to the same value': async (db) => {
      const { numUpdatedRows, numChangedRows } = await db.updateTable('books').set({ title: 'Pecan' }).where('id', '=', 1)
        .executeTakeFirst();
      return { numUpdatedRows, numChangedRows };
    },
    'delete some rows': async (db) => {
      const { numDeletedRows } = await db.deleteFrom('book_tags').orderBy('book_id').orderBy('tag').limit(2).executeTakeFirst();
      return { numDeletedRows, left: await db.selectFrom('book_tags').selectAll().orderBy('book_id').execute() };
    },
    'replace': async (db) => {
      await db.replaceInto('book_tags').values({ book_id: 4, tag: 'rare' }).execute();
      return db.selectFrom('book_tags').selectAll().where('book_id', '=', 4).execute();
    },
    'rows that are locked': (db) => db.transaction().execute(async (tx) => [
      await tx.selectFrom('authors').select('id').where('id', '=', 1).forUpdate().execute(),
      await tx.selectFrom('authors').select('id').where('id', '=', 2).forUpdate().skipLocked().execute(),
    ]),
    'other types': (db) => db.selectFrom('samples').select('clock').execute(),
    'dates': (db) => db.selectFrom('samples').select(['day', 'moment', 'zoned']).execute(),
    'dates as parameters': async (db) => {
      const moment = new Date('2026-06-01T12:00:00.250Z');
      await db.insertInto('samples').values({ moment }).execute();
      return db.selectFrom('samples').select('id').where('moment', '=', moment).execute();
    },
    'dates as texts': async (db) => {
      await db.insertInto('samples').values({ day: '2026-06-01', moment: '2026-06-01 12:00:00.25', zoned: '2026-06-01 12:00:00' }).execute();
      const text = (name) => sql`cast(${sql.ref(name)} as char(30))`.as(name);
      return db.selectFrom('samples').select([text('day'), text('moment'), text('zoned')])
        .where('zoned', '=', '2026-06-01 12:00:00').execute();
    },
    'an isolation level': (db) => db.transaction().setIsolationLevel('serializable').execute((tx) => countOf(tx, 'UK')),
    'tables of the database': (db) => tablesOf(db),
  },
};

async function tablesOf(db) {
  const tables = await db.introspection.getTables();
  return tables.filter(({ name }) => name === 'books')
    .map(({ name, columns }) => ({ name, columns: columns.map((column) => column.name).sort() }));
}
