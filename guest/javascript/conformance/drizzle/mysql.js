import {
  bigint, boolean, customType, date, datetime, decimal, double, int, json, mysqlTable, primaryKey, text, time, timestamp, varbinary,
  varchar,
} from 'drizzle-orm/mysql-core';

export { alias } from 'drizzle-orm/mysql-core';

// `varbinary` of drizzle is a text.
const bytes = customType({ dataType: () => 'varbinary(100)' });

const key = () => bigint('id', { mode: 'number' }).autoincrement().primaryKey();

export const authors = mysqlTable('authors', {
  id: key(),
  name: varchar('name', { length: 100 }).notNull(),
  email: varchar('email', { length: 100 }),
  country: varchar('country', { length: 100 }).notNull().default('none'),
});
export const books = mysqlTable('books', {
  id: key(),
  authorId: bigint('author_id', { mode: 'number' }).notNull(),
  title: varchar('title', { length: 100 }).notNull(),
  pages: int('pages').notNull().$defaultFn(() => 1),
  price: decimal('price', { precision: 10, scale: 2 }).notNull(),
  rating: double('rating').$onUpdateFn(() => 1.5),
});
export const bookTags = mysqlTable('book_tags', {
  bookId: bigint('book_id', { mode: 'number' }).notNull(),
  tag: varchar('tag', { length: 100 }).notNull(),
}, (table) => [primaryKey({ columns: [table.bookId, table.tag] })]);
export const samples = mysqlTable('samples', {
  id: key(),
  big: bigint('big', { mode: 'bigint' }),
  exact: decimal('exact', { precision: 24, scale: 4 }),
  approximate: double('approximate'),
  flag: boolean('flag'),
  words: text('words'),
  raw: bytes('raw'),
  day: date('day', { mode: 'string' }),
  moment: datetime('moment', { fsp: 3 }),
  document: json('document'),
  zoned: timestamp('zoned'),
  clock: time('clock'),
});
// Dates and bytes in the other mode of drizzle.
export const dates = mysqlTable('samples', {
  id: key(),
  day: date('day', { mode: 'date' }),
  moment: datetime('moment', { fsp: 3, mode: 'string' }),
  zoned: timestamp('zoned', { mode: 'string' }),
});
export const binary = mysqlTable('samples', { id: key(), raw: varbinary('raw', { length: 100 }) });
