// Cases of drizzle. A case receives the database, the tables of the engine, and:
// - `affected(result)`: the number of rows that a statement has changed, from the result of the driver
// - `rows(db, query)`: the rows of a query as text, as objects

import {
  DrizzleQueryError, TransactionRollbackError, and, asc, between, count, countDistinct, desc, eq, exists, gt, gte, inArray,
  isNotNull, isNull, like, lt, max, min, ne, not, notInArray,
  or, relations, sql, sum,
} from 'drizzle-orm';

// Classes of errors that the mapper documents.
export const CLASSES = { DrizzleQueryError, TransactionRollbackError };

export function schemaOf({ authors, books, bookTags, samples }) {
  return {
    authors,
    books,
    bookTags,
    samples,
    authorsRelations: relations(authors, ({ many }) => ({ books: many(books) })),
    booksRelations: relations(books, ({ one, many }) => ({
      author: one(authors, { fields: [books.authorId], references: [authors.id] }),
      tags: many(bookTags),
    })),
    bookTagsRelations: relations(bookTags, ({ one }) => ({
      book: one(books, { fields: [bookTags.bookId], references: [books.id] }),
    })),
  };
}

// Returns the cases of a dialect by their names.
export function casesOf(dialect) {
  return { ...common, ...(dialect === 'mysql' ? {} : returning), ...(dialect === 'sqlite' ? {} : promises), ...own[dialect] };
}

const ids = (rows) => rows.map(({ id }) => id);

// Inserts a row and returns its generated key.
async function insertKey(db, { authors, isMysql }, values) {
  const insert = db.insert(authors).values(values);
  const [{ id }] = await (isMysql ? insert.$returningId() : insert.returning({ id: authors.id }));
  return id;
}

const common = {
  'select all columns': (db, { books }) => db.select().from(books).orderBy(books.id),
  'select fields': (db, { books }) => db.select({ title: books.title, twice: sql`${books.pages} * 2`.mapWith(Number) })
    .from(books).orderBy(books.id),
  'where with and, or, not': (db, { books }) =>
    db.select({ id: books.id }).from(books)
      .where(or(and(gte(books.pages, 80), lt(books.pages, 210)), not(ne(books.title, 'Almond'))))
      .orderBy(books.id),
  'limit and offset': (db, { books }) => db.select({ id: books.id }).from(books).orderBy(desc(books.pages)).limit(2).offset(1),
  'order by several columns': (db, { books }) =>
    db.select({ id: books.id }).from(books).orderBy(desc(books.authorId), asc(books.pages)),
  'order with nulls': (db, { books }) =>
    db.select({ id: books.id }).from(books).orderBy(sql`${books.rating} is null`, desc(books.rating), books.id),
  'pages of rows': async (db, { books }) => {
    const pages = [];
    for (let page = 0; page < 3; page += 1) {
      pages.push(ids(await db.select({ id: books.id }).from(books).orderBy(books.id).limit(2).offset(page * 2)));
    }
    return pages;
  },
  'pages by a cursor': async (db, { books }) => {
    const after = (id) => db.select({ id: books.id }).from(books).where(gt(books.id, id)).orderBy(books.id).limit(3);
    const first = ids(await after(0));
    return [first, ids(await after(first.at(-1)))];
  },
  'no rows': (db, { books }) => db.select().from(books).where(eq(books.id, 4711)),

  'inner join': (db, { authors, books }) =>
    db.select({ author: authors.name, title: books.title }).from(books)
      .innerJoin(authors, eq(books.authorId, authors.id)).orderBy(books.id),
  'left join without a partner': (db, { authors, books }) =>
    db.select().from(authors).leftJoin(books, eq(books.authorId, authors.id)).orderBy(authors.id, books.id),
  'right join': (db, { authors, books }) =>
    db.select({ author: authors.name, title: books.title }).from(books)
      .rightJoin(authors, eq(books.authorId, authors.id)).orderBy(authors.id, books.id),
  'cross join': (db, { authors, bookTags }) =>
    db.select({ id: authors.id, tag: bookTags.tag }).from(authors).crossJoin(bookTags)
      .where(eq(bookTags.bookId, 1)).orderBy(authors.id, bookTags.tag),
  'self join with an alias': (db, { alias, authors }) => {
    const other = alias(authors, 'other');
    return db.select({ id: authors.id, other: other.id }).from(authors)
      .innerJoin(other, and(eq(authors.country, other.country), lt(authors.id, other.id)));
  },
  'many to many': (db, { authors, books, bookTags }) =>
    db.select({ author: authors.name, tag: bookTags.tag }).from(authors)
      .innerJoin(books, eq(books.authorId, authors.id)).innerJoin(bookTags, eq(bookTags.bookId, books.id))
      .orderBy(authors.id, books.id, bookTags.tag),

  aggregates: (db, { books }) =>
    db.select({
      count: count(), rated: count(books.rating), authors: countDistinct(books.authorId), pages: sum(books.pages).mapWith(Number),
      least: min(books.price), most: max(books.pages),
    }).from(books),
  'aggregates of no rows': (db, { books }) =>
    db.select({ count: count(), pages: sum(books.pages), most: max(books.pages) }).from(books).where(lt(books.id, 0)),
  'group by and having': (db, { books }) =>
    db.select({ author: books.authorId, count: count() }).from(books).groupBy(books.authorId)
      .having(({ count: found }) => gt(found, 1)).orderBy(books.authorId),
  '$count': async (db, { authors, books }) => ({
    all: await db.$count(books),
    some: await db.$count(books, gt(books.pages, 100)),
    each: await db.select({ id: authors.id, books: db.$count(books, eq(books.authorId, authors.id)) }).from(authors)
      .orderBy(authors.id),
  }),
  distinct: (db, { authors }) => db.selectDistinct({ country: authors.country }).from(authors).orderBy(authors.country),

  'subquery in from': (db, { books }) => {
    const long = db.select({ id: books.id, pages: books.pages }).from(books).where(gt(books.pages, 100)).as('long');
    return db.select({ id: long.id }).from(long).where(lt(long.pages, 300)).orderBy(long.id);
  },
  'subquery in where': (db, { authors, books }) =>
    db.select({ name: authors.name }).from(authors)
      .where(inArray(authors.id, db.select({ id: books.authorId }).from(books).where(gt(books.pages, 100)))).orderBy(authors.id),
  exists: (db, { authors, books }) =>
    db.select({ name: authors.name }).from(authors)
      .where(not(exists(db.select().from(books).where(eq(books.authorId, authors.id))))).orderBy(authors.id),
  'common table expressions': (db, { authors, books }) => {
    const counts = db.$with('counts').as(
      db.select({ author: books.authorId, found: count().as('found') }).from(books).groupBy(books.authorId),
    );
    return db.with(counts).select({ name: authors.name, found: counts.found }).from(authors)
      .leftJoin(counts, eq(counts.author, authors.id)).orderBy(authors.id);
  },
  union: (db, { authors, books }) =>
    db.select({ id: authors.id }).from(authors).where(gt(authors.id, 2))
      .union(db.select({ id: books.id }).from(books).where(gt(books.id, 3))).orderBy(sql`id`),
  'union all': (db, { authors }) =>
    db.select({ country: authors.country }).from(authors).unionAll(db.select({ country: authors.country }).from(authors))
      .orderBy(sql`country`).limit(3),
  'intersect and except': async (db, { authors, books }) => {
    const all = db.select({ id: authors.id }).from(authors);
    const written = () => db.select({ id: books.authorId }).from(books);
    return [await all.intersect(written()).orderBy(sql`id`), await db.select({ id: authors.id }).from(authors).except(written())];
  },
  'window functions': (db, { books }) => {
    const place = sql`row_number() over (partition by ${books.authorId} order by ${books.pages})`.mapWith(Number);
    return db.select({ id: books.id, place }).from(books).orderBy(books.id);
  },

  case: (db, { books }) =>
    db.select({ id: books.id, size: sql`case when ${books.pages} > ${200} then ${'long'} else ${'short'} end` })
      .from(books).orderBy(books.id),
  'like with an escape': async (db, { books }) => [
    await db.select({ id: books.id }).from(books).where(like(books.title, '%nut%')).orderBy(books.id),
    await db.select({ id: books.id }).from(books).where(sql`${books.title} like ${'%!_nut 50!%'} escape '!'`),
  ],
  'lists of values': async (db, { books }) => [
    await db.select({ id: books.id }).from(books).where(inArray(books.id, [1, 3, 4711])).orderBy(books.id),
    await db.select({ id: books.id }).from(books).where(notInArray(books.title, ['Pecan', 'Walnut'])).orderBy(books.id),
  ],
  'empty lists of values': async (db, { books }) => [
    await db.select({ id: books.id }).from(books).where(inArray(books.id, [])),
    await db.$count(books, notInArray(books.id, [])),
  ],
  'comparison with null': async (db, { authors, books }) => [
    await db.select({ id: authors.id }).from(authors).where(isNull(authors.email)).orderBy(authors.id),
    await db.select({ id: books.id }).from(books).where(isNotNull(books.rating)).orderBy(books.id),
    await db.select({ id: authors.id }).from(authors).where(eq(authors.email, null)),
  ],
  between: (db, { books }) => db.select({ id: books.id }).from(books).where(between(books.pages, 80, 210)).orderBy(books.id),
  'a query as text': (db, { books, rows }) => rows(db, sql`select title, pages from ${books} where ${books.id} = ${4}`),
  'identifiers and raw text': (db, { books }) =>
    db.select({ title: sql`${sql.identifier('title')}` }).from(books).where(sql`${books.id} = ${sql.raw('2')}`),
  'a dynamic query': async (db, { books }) => {
    const page = (query, size) => query.orderBy(desc(books.id)).limit(size);
    const query = db.select({ id: books.id }).from(books).$dynamic();
    return page(query.where(gt(books.pages, 50)), 2);
  },
  'a prepared query': async (db, { books }) => {
    const query = db.select({ title: books.title }).from(books)
      .where(and(eq(books.authorId, sql.placeholder('author')), gt(books.pages, sql.placeholder('pages')))).orderBy(books.id)
      .prepare('books_of_author');
    return [await query.execute({ author: 1, pages: 100 }), await query.execute({ author: 2, pages: 0 })];
  },
  'a placeholder for a limit': async (db, { books }) => {
    const query = db.select({ id: books.id }).from(books).orderBy(books.id).limit(sql.placeholder('size')).prepare('some_books');
    return query.execute({ size: 2 });
  },

  'relational query': async (db) => {
    const found = await db.query.authors.findMany({
      columns: { id: true, name: true }, with: { books: { columns: { title: true, price: true } } }, orderBy: (table) => [table.id],
    });
    for (const { books } of found) books.sort((a, b) => (a.title < b.title ? -1 : 1));
    return found;
  },
  'relational query to one': (db, { books }) =>
    db.query.books.findFirst({ where: eq(books.id, 3), with: { author: true } }),
  'relational query, three levels': async (db) => {
    const found = await db.query.authors.findMany({
      with: { books: { with: { tags: true } } }, where: (table) => lt(table.id, 3), orderBy: (table) => table.id,
    });
    // Not in the query, because MariaDB cannot order related rows.
    for (const { books } of found) {
      books.sort((a, b) => a.id - b.id);
      for (const { tags } of books) tags.sort((a, b) => (a.tag < b.tag ? -1 : 1));
    }
    return found;
  },
  'relational query, computed columns': (db) => db.query.books.findMany({
    columns: { id: true }, extras: { size: sql`${sql.identifier('pages')} + 1`
      .as('size') }, orderBy: (table) => table.id, limit: 2, offset: 1,
  }),
  'relational query, values of all types': (db) => db.query.samples.findMany(),
  'relational query without a row': async (db, { books }) => [await db.query.books.findFirst({ where: eq(books.id, 4711) })],
  'a prepared relational query': async (db, { books }) => {
    const query = db.query.books.findFirst({ where: eq(books.id, sql.placeholder('id')), columns: { title: true } })
      .prepare('book');
    return [await query.execute({ id: 1 }), await query.execute({ id: 2 })];
  },

  'insert one and its key': async (db, t) => {
    const id = await insertKey(db, t, { name: 'Eve', country: 'DE' });
    return { id, row: await db.select().from(t.authors).where(eq(t.authors.id, id)) };
  },
  'insert with defaults': async (db, { authors, books }) => {
    await db.insert(authors).values({ name: 'Eve' });
    await db.insert(books).values({ authorId: 5, title: 'Leaflet', price: '1.00' });
    return db.select().from(authors).innerJoin(books, eq(books.authorId, authors.id)).where(eq(authors.id, 5));
  },
  'insert many': async (db, { authors, affected }) => {
    const values = Array.from({ length: 50 }, (_, index) => ({ name: `Author ${index}`, country: 'XX' }));
    return { changed: affected(await db.insert(authors)
      .values(values)), found: await db.$count(authors, eq(authors.country, 'XX')) };
  },
  'insert from a query': async (db, { authors, books }) => {
    await db.insert(authors).select(
      db.select({ id: sql`${books.id} + 100`.as('id'), name: books.title, email: sql`null`.as('email'), country: sql`'XX'`
        .as('country') }).from(books),
    );
    return db.select().from(authors).where(gt(authors.id, 100)).orderBy(authors.id);
  },
  'update and count': async (db, { books, affected }) => ({
    changed: affected(await db.update(books).set({ price: '1.25' }).where(eq(books.authorId, 1))),
    none: affected(await db.update(books).set({ price: '1.25' }).where(eq(books.id, 4711))),
    rows: await db.select({ id: books.id, price: books.price, rating: books.rating }).from(books).orderBy(books.id),
  }),
  'update with an expression': async (db, { books }) => {
    await db.update(books).set({ pages: sql`${books.pages} + 10`, rating: null }).where(lt(books.id, 3));
    return db.select({ id: books.id, pages: books.pages, rating: books.rating }).from(books).orderBy(books.id);
  },
  'delete and count': async (db, { bookTags, affected }) => ({
    changed: affected(await db.delete(bookTags).where(eq(bookTags.tag, 'nut'))),
    none: affected(await db.delete(bookTags).where(eq(bookTags.tag, 'nut'))),
    left: await db.select().from(bookTags).orderBy(bookTags.bookId),
  }),

  'a unique constraint': (db, { authors }) => db.insert(authors).values({ name: 'Ada' }),
  'a foreign key': (db, { books }) => db.insert(books).values({ authorId: 4711, title: 'Lost', pages: 1, price: '1' }),
  'a foreign key of a deleted row': (db, { authors }) => db.delete(authors).where(eq(authors.id, 1)),
  'a check': (db, { books }) => db.update(books).set({ pages: 0 }).where(eq(books.id, 1)),
  'a value that must not be null': (db, { books }) => db.insert(books).values({ authorId: 1, title: null, price: '1' }),
  'a table that does not exist': (db, { rows }) => rows(db, sql`select * from absent`),
  'a syntax error': (db, { rows }) => rows(db, sql`select from where`),

  'values of all types': (db, { samples }) => db.select().from(samples),
  'values of all types, written': async (db, { samples }) => {
    const [sample] = await db.select().from(samples);
    await db.insert(samples).values({ ...sample, id: 2 });
    return db.select().from(samples).where(eq(samples.id, 2));
  },
  'nulls of all types': async (db, { samples }) => {
    const [{ id, ...sample }] = await db.select().from(samples);
    const nulls = Object.fromEntries(Object.keys(sample).map((name) => [name, null]));
    await db.insert(samples).values({ ...nulls, id: 2 });
    return db.select().from(samples).where(eq(samples.id, 2));
  },
  'texts': async (db, { samples }) => {
    const texts = ['', ' ', "it's", 'a "quoted" \\ text', 'line\nline', 'Größe Ω Ж 語 🌰', 'e\u0301', '%_'];
    await db.insert(samples).values(texts.map((words) => ({ words })));
    const found = await db.select({ words: samples.words }).from(samples).where(gt(samples.id, 1)).orderBy(samples.id);
    return { same: found.map(({ words }, index) => words === texts[index]), compared: await db.$count(samples, eq(samples.words, "it's")) };
  },
  'bytes': async (db, { samples }) => {
    const values = [[], [0], [255, 254, 0, 1], Array.from({ length: 100 }, (_, index) => index * 2)];
    await db.insert(samples).values(values.map((bytes) => ({ raw: new Uint8Array(bytes) })));
    return db.select({ raw: samples.raw }).from(samples).where(gt(samples.id, 1)).orderBy(samples.id);
  },
  'documents': async (db, { samples }) => {
    const documents = [{}, [], { a: { b: [1, 2.5, true, null, 'ü'] } }, ['"'], 7, true, 'text'];
    await db.insert(samples).values(documents.map((document) => ({ document })));
    return db.select({ document: samples.document }).from(samples).where(gt(samples.id, 1)).orderBy(samples.id);
  },
  'numbers': async (db, { samples }) => {
    const values = [0.1 + 0.2, -1e-7, 1.5e300, 7, -0.5];
    await db.insert(samples).values(values.map((approximate) => ({ approximate })));
    return db.select({ value: samples.approximate }).from(samples).where(gt(samples.id, 1)).orderBy(samples.id);
  },
  'booleans': async (db, { samples }) => {
    await db.insert(samples).values([{ flag: true }, { flag: false }, { flag: null }]);
    return [
      await db.select({ flag: samples.flag }).from(samples).where(gt(samples.id, 1)).orderBy(samples.id),
      await db.select({ id: samples.id }).from(samples).where(eq(samples.flag, false)),
    ];
  },
  'moments': async (db, { samples }) => {
    const values = [new Date(0), new Date('2026-03-29T01:30:00.001Z'), new Date('1999-12-31T23:59:59.999Z')];
    await db.insert(samples).values(values.map((moment) => ({ moment })));
    return [
      await db.select({ moment: samples.moment }).from(samples).where(gt(samples.id, 1)).orderBy(samples.id),
      await db.select({ id: samples.id }).from(samples).where(lt(samples.moment, new Date('2000-01-01T00:00:00Z')))
        .orderBy(samples.id),
    ];
  },
};

const returning = {
  'insert returning': (db, { authors }) =>
    db.insert(authors).values([{ name: 'Eve' }, { name: 'Finn', country: 'FI' }]).returning(),
  'update returning': (db, { books }) =>
    db.update(books).set({ pages: sql`${books.pages} + 1` }).where(eq(books.id, 1))
      .returning({ id: books.id, pages: books.pages }),
  'delete returning': (db, { bookTags }) => db.delete(bookTags).where(eq(bookTags.bookId, 4)).returning(),
  'insert or update': (db, { authors }) =>
    db.insert(authors).values([{ name: 'Ada', country: 'XX' }, { name: 'Eve', country: 'YY' }])
      .onConflictDoUpdate({ target: authors.name, set: { country: sql`excluded.country` } })
      .returning({ id: authors.id, country: authors.country }),
  'insert or update with a condition': (db, { authors }) =>
    db.insert(authors).values([{ name: 'Ada', country: 'XX' }, { name: 'Bo', country: 'YY' }])
      .onConflictDoUpdate({ target: authors.name, set: { country: sql`excluded.country` }, setWhere: eq(authors.country, 'SE') })
      .returning({ id: authors.id, country: authors.country }),
  'insert or nothing': async (db, { authors, affected }) => ({
    changed: affected(await db.insert(authors).values([{ name: 'Ada' }, { name: 'Eve' }]).onConflictDoNothing()),
    rows: await db.insert(authors).values({ name: 'Ada' }).onConflictDoNothing({ target: authors.name }).returning(),
  }),
  'update from a table': (db, { authors, books }) =>
    db.update(books).set({ title: sql`${books.title} || ' by ' || ${authors.name}` }).from(authors)
      .where(and(eq(authors.id, books.authorId), eq(books.id, 5))).returning({ title: books.title }),
  'full join': (db, { authors, books }) =>
    db.select({ author: authors.id, book: books.id }).from(authors)
      .fullJoin(books, and(eq(books.authorId, authors.id), gt(books.pages, 250)))
      .orderBy(sql`coalesce(${authors.id}, 99)`, books.id),
};

const country = (value) => ({ country: value });

// Transactions of drivers whose functions return promises.
const promises = {
  'a transaction commits': async (db, { authors }) => {
    const result = await db.transaction(async (tx) => {
      await tx.update(authors).set(country('XX')).where(eq(authors.id, 1));
      return tx.$count(authors, eq(authors.country, 'XX'));
    });
    return { result, after: await db.$count(authors, eq(authors.country, 'XX')) };
  },
  'an exception undoes a transaction': async (db, { authors }) => {
    const failed = db.transaction(async (tx) => {
      await tx.update(authors).set(country('XX'));
      throw new RangeError('no');
    });
    return { error: await failed.catch(String), after: await db.$count(authors, eq(authors.country, 'XX')) };
  },
  'an error of a statement undoes a transaction': async (db, { authors }) => {
    const failed = db.transaction(async (tx) => {
      await tx.update(authors).set(country('XX')).where(eq(authors.id, 2));
      await tx.insert(authors).values({ name: 'Ada' });
    });
    return { failed: await failed.then(() => false, () => true), after: await db.$count(authors, eq(authors.country, 'XX')) };
  },
  'rollback() undoes a transaction': async (db, { authors }) => {
    const failed = db.transaction(async (tx) => {
      await tx.update(authors).set(country('XX'));
      tx.rollback();
    });
    return { error: await failed.catch(({ name, message }) => [name, message]), after: await db.$count(authors, eq(authors.country, 'XX')) };
  },
  'rollback() that is not caught': (db) => db.transaction(async (tx) => tx.rollback()),
  'a nested transaction undoes its part': (db, { authors }) => db.transaction(async (tx) => {
    await tx.update(authors).set(country('XX')).where(eq(authors.id, 1));
    const failed = tx.transaction(async (nested) => {
      await nested.update(authors).set(country('YY')).where(eq(authors.id, 2));
      await nested.insert(authors).values({ name: 'Ada' });
    });
    const isFailed = await failed.then(() => false, () => true);
    await tx.transaction((nested) => nested.update(authors).set(country('ZZ')).where(eq(authors.id, 3)));
    return { isFailed, rows: await tx.select({ country: authors.country }).from(authors).orderBy(authors.id) };
  }),
  'three levels of transactions': async (db, { authors }) => {
    await db.transaction(async (first) => {
      await first.update(authors).set(country('1')).where(eq(authors.id, 1));
      await first.transaction(async (second) => {
        await second.update(authors).set(country('2')).where(eq(authors.id, 2));
        await second.transaction(async (third) => {
          await third.update(authors).set(country('3')).where(eq(authors.id, 3));
          third.rollback();
        }).catch(() => {});
      });
    });
    return db.select({ country: authors.country }).from(authors).orderBy(authors.id);
  },
  'an error that is caught inside a transaction': async (db, { authors }) => {
    await db.transaction(async (tx) => {
      await tx.update(authors).set(country('XX')).where(eq(authors.id, 1));
      await tx.insert(authors).values({ name: 'Ada' }).catch(() => {});
    });
    return db.select({ country: authors.country }).from(authors).orderBy(authors.id);
  },
  'many transactions, one after another': async (db, { authors }) => {
    for (let round = 0; round < 40; round += 1) {
      const failed = db.transaction(async (tx) => {
        await tx.insert(authors).values({ name: `Author ${round}` });
        if (round % 2 === 1) throw new Error('odd');
      });
      await failed.catch(() => {});
    }
    return db.$count(authors);
  },
  'transactions at the same time': async (db, { authors }) => {
    const work = (id, fails) => db.transaction(async (tx) => {
      await tx.update(authors).set(country('XX')).where(eq(authors.id, id));
      await tx.$count(authors);
      if (fails) throw new Error('no');
    });
    const results = await Promise.allSettled([work(1, false), work(2, true), work(3, false), work(4, true)]);
    return {
      results: results.map(({ status }) => status),
      rows: await db.select({ country: authors.country }).from(authors).orderBy(authors.id),
    };
  },
  'a row that is locked': (db, { authors }) => db.transaction(async (tx) => [
    await tx.select({ id: authors.id }).from(authors).where(eq(authors.id, 1)).for('update'),
    await tx.select({ id: authors.id }).from(authors).where(eq(authors.id, 2)).for('update', { skipLocked: true }),
  ]),
};

const own = {
  // The driver of SQLite is synchronous, and so are its transactions.
  sqlite: {
    'queries without promises': async (db, { books }) => [
      db.select({ id: books.id }).from(books).orderBy(books.id).all(),
      db.select({ id: books.id }).from(books).where(eq(books.id, 2)).get(),
      db.select({ id: books.id }).from(books).where(eq(books.id, 4711)).get(),
      db.select({ id: books.id, title: books.title }).from(books).where(eq(books.id, 2)).values(),
      db.query.books.findFirst({ columns: { title: true }, where: eq(books.id, 2) }).sync(),
    ],
    'a transaction commits': async (db, { authors }) => {
      const result = db.transaction((tx) => {
        tx.update(authors).set(country('XX')).where(eq(authors.id, 1)).run();
        return tx.select({ id: authors.id }).from(authors).where(eq(authors.country, 'XX')).all();
      });
      return { result, after: await db.$count(authors, eq(authors.country, 'XX')) };
    },
    'an exception undoes a transaction': async (db, { authors }) => {
      const error = caught(() => db.transaction((tx) => {
        tx.update(authors).set(country('XX')).run();
        throw new RangeError('no');
      }));
      return { error: String(error), after: await db.$count(authors, eq(authors.country, 'XX')) };
    },
    'rollback() undoes a transaction': async (db, { authors }) => {
      const { name, message } = caught(() => db.transaction((tx) => {
        tx.update(authors).set(country('XX')).run();
        tx.rollback();
      }));
      return { name, message, after: await db.$count(authors, eq(authors.country, 'XX')) };
    },
    'rollback() that is not caught': async (db) => db.transaction((tx) => tx.rollback()),
    'a nested transaction undoes its part': async (db, { authors }) => db.transaction((tx) => {
      tx.update(authors).set(country('XX')).where(eq(authors.id, 1)).run();
      const error = caught(() => tx.transaction((nested) => {
        nested.update(authors).set(country('YY')).where(eq(authors.id, 2)).run();
        nested.insert(authors).values({ name: 'Ada' }).run();
      }));
      tx.transaction((nested) => nested.update(authors).set(country('ZZ')).where(eq(authors.id, 3)).run());
      return { isFailed: error !== undefined, rows: tx.select({ country: authors.country }).from(authors).orderBy(authors.id)
        .all() };
    }),
    'three levels of transactions': async (db, { authors }) => {
      db.transaction((first) => {
        first.update(authors).set(country('1')).where(eq(authors.id, 1)).run();
        first.transaction((second) => {
          second.update(authors).set(country('2')).where(eq(authors.id, 2)).run();
          caught(() => second.transaction((third) => {
            third.update(authors).set(country('3')).where(eq(authors.id, 3)).run();
            third.rollback();
          }));
        });
      });
      return db.select({ country: authors.country }).from(authors).orderBy(authors.id);
    },
    'an error that is caught inside a transaction': async (db, { authors }) => {
      db.transaction((tx) => {
        tx.update(authors).set(country('XX')).where(eq(authors.id, 1)).run();
        caught(() => tx.insert(authors).values({ name: 'Ada' }).run());
      });
      return db.select({ country: authors.country }).from(authors).orderBy(authors.id);
    },
    'many transactions, one after another': async (db, { authors }) => {
      for (let round = 0; round < 40; round += 1) {
        caught(() => db.transaction((tx) => {
          tx.insert(authors).values({ name: `Author ${round}` }).run();
          if (round % 2 === 1) throw new Error('odd');
        }));
      }
      return db.$count(authors);
    },
    'bytes as large integers': async (db, { blobs: { bigint: table } }) => {
      await db.insert(table).values([{ id: 2, raw: 0n }, { id: 3, raw: 2n ** 70n }]);
      return db.select().from(table).where(gt(table.id, 1)).orderBy(table.id);
    },
    'bytes as documents': async (db, { blobs: { json: table } }) => {
      await db.insert(table).values([{ id: 2, raw: { a: 'é' } }, { id: 3, raw: [1] }]);
      return db.select().from(table).where(gt(table.id, 1)).orderBy(table.id);
    },
    'a path of a document': (db, { samples }) =>
      db.select({ value: sql`${samples.document} ->> '$.a[2]'` }).from(samples).where(eq(samples.id, 1)),
  },
  postgresql: {
    'distinct on': (db, { books }) =>
      db.selectDistinctOn([books.authorId], { author: books.authorId, id: books.id }).from(books)
        .orderBy(books.authorId, desc(books.pages)),
    'like without case': (db, { books }) => db.select({ id: books.id }).from(books)
      .where(sql`${books.title} ilike ${'%NUT%'}`).orderBy(books.id),
    'nulls first and last': (db, { books }) =>
      db.select({ id: books.id }).from(books).orderBy(sql`${books.rating} desc nulls last`, books.id),
    'large integers': async (db, { samples }) => {
      await db.insert(samples).values([{ big: 2n ** 63n - 1n }, { big: -(2n ** 63n) }, { big: 2n ** 53n + 1n }]);
      return db.select({ big: samples.big }).from(samples).where(gt(samples.id, 1)).orderBy(samples.id);
    },
    'a comparison with a large integer': async (db, { samples }) => {
      await db.insert(samples).values([{ big: 2n ** 53n + 1n }, { big: 2n ** 53n }]);
      return db.select({ id: samples.id }).from(samples).where(eq(samples.big, 2n ** 53n + 1n));
    },
    'dates in the other mode': async (db, { dates }) => {
      const [row] = await db.select().from(dates);
      await db.insert(dates).values({ ...row, id: 2 });
      return db.select().from(dates).orderBy(dates.id);
    },
    'moments with an offset': async (db, { samples }) => {
      await db.insert(samples).values({ zoned: new Date('2026-06-01T12:00:00.250Z') });
      return db.select({ zoned: samples.zoned }).from(samples).orderBy(samples.id);
    },
    'arrays': async (db, { samples }) => {
      const arrays = [{ numbers: [], labels: [] }, { numbers: [1, null], labels: ['', 'a,b', '"', '\\', 'NULL', '{}'] }];
      await db.insert(samples).values(arrays);
      return db.select({ numbers: samples.numbers, labels: samples.labels }).from(samples).where(gt(samples.id, 1))
        .orderBy(samples.id);
    },
    'operators of arrays': (db, { samples }) =>
      db.select({ id: samples.id, length: sql`cardinality(${samples.labels})` }).from(samples)
        .where(sql`${'b,c'} = any(${samples.labels})`),
    'an array as a parameter': (db, { books }) =>
      db.select({ id: books.id }).from(books).where(sql`${books.id} = any(${sql.param([1, 3])})`).orderBy(books.id),
    'a path of a document': (db, { samples }) =>
      db.select({ text: sql`${samples.document} #>> '{a,2}'`, part: sql`${samples.document} -> 'a'` }).from(samples)
        .where(eq(samples.id, 1)),
    'an insert in a common table expression': (db, { authors, rows }) =>
      rows(db, sql`with made as (insert into ${authors} (name) values (${'Eve'}) returning name) select name from made`),
    'a count without a type': (db, { books }) => db.select({ count: sql`count(*)` }).from(books),
    'an isolation level': (db, { authors }) =>
      db.transaction((tx) => tx.$count(authors), { isolationLevel: 'serializable', accessMode: 'read only' }),
    'lateral join': (db, { authors, books }) => {
      const longest = db.select({ title: books.title }).from(books).where(eq(books.authorId, authors.id))
        .orderBy(desc(books.pages)).limit(1).as('longest');
      return db.select({ name: authors.name, title: longest.title }).from(authors).leftJoinLateral(longest, sql`true`)
        .orderBy(authors.id);
    },
    'ordered and limited relations': (db) => db.query.authors.findMany({
      columns: { id: true },
      with: { books: { columns: { id: true }, orderBy: (table) => desc(table.pages), limit: 1 } },
      orderBy: (table) => table.id,
    }),
  },
  mysql: {
    'insert or update': async (db, { authors, affected }) => {
      const insert = db.insert(authors).values([{ name: 'Ada', country: 'XX' }, { name: 'Eve', country: 'YY' }])
        .onDuplicateKeyUpdate({ set: { country: sql`values(${authors.country})` } });
      return { changed: affected(await insert), rows: await db.select({ country: authors.country }).from(authors)
        .orderBy(authors.id) };
    },
    'insert or nothing': async (db, { authors, affected }) => ({
      changed: affected(await db.insert(authors).ignore().values([{ name: 'Ada' }, { name: 'Eve' }])),
      found: await db.$count(authors),
    }),
    'keys of many rows': (db, { authors }) => db.insert(authors).values([{ name: 'Eve' }, { name: 'Finn' }]).$returningId(),
    'the result of an insert': async (db, { authors }) => {
      const [{ insertId, affectedRows }] = await db.insert(authors).values({ name: 'Eve' });
      return { insertId, affectedRows };
    },
    'update some rows': async (db, { books, affected }) => ({
      changed: affected(await db.update(books).set({ title: 'Short' }).orderBy(books.pages).limit(2)),
      rows: await db.select({ id: books.id }).from(books).where(eq(books.title, 'Short')).orderBy(books.id),
    }),
    'update to the same value': async (db, { books, affected }) =>
      affected(await db.update(books).set({ title: 'Pecan', rating: 4.5 }).where(eq(books.id, 1))),
    'delete some rows': async (db, { bookTags, affected }) => ({
      changed: affected(await db.delete(bookTags).orderBy(bookTags.bookId, bookTags.tag).limit(2)),
      left: await db.select().from(bookTags).orderBy(bookTags.bookId),
    }),
    'large integers': async (db, { samples }) => {
      await db.insert(samples).values([{ big: 2n ** 63n - 1n }, { big: -(2n ** 63n) }, { big: 2n ** 53n + 1n }]);
      return db.select({ big: samples.big }).from(samples).where(gt(samples.id, 1)).orderBy(samples.id);
    },
    'a comparison with a large integer': async (db, { samples }) => {
      await db.insert(samples).values([{ big: 2n ** 53n + 1n }, { big: 2n ** 53n }]);
      return db.select({ id: samples.id }).from(samples).where(eq(samples.big, 2n ** 53n + 1n));
    },
    'dates in the other mode': async (db, { dates }) => {
      const [row] = await db.select().from(dates);
      await db.insert(dates).values({ ...row, id: 2 });
      return db.select().from(dates).orderBy(dates.id);
    },
    'an isolation level': (db, { authors }) => db.transaction((tx) => tx.$count(authors), { isolationLevel: 'serializable' }),
    'bytes as a text': async (db, { binary }) => {
      await db.insert(binary).values({ id: 2, raw: 'ü' });
      return db.select().from(binary).where(eq(binary.id, 2));
    },
    'a path of a document': (db, { samples }) =>
      db.select({ value: sql`json_value(${samples.document}, '$.a[2]')` }).from(samples).where(eq(samples.id, 1)),
    'rows one by one': async (db, { books }) => {
      const found = [];
      for await (const row of await db.select({ id: books.id }).from(books).orderBy(books.id).iterator()) found.push(row);
      return found;
    },
  },
};

function caught(work) {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}
