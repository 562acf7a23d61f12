import {
  bigint, boolean, customType, date, doublePrecision, integer, jsonb, numeric, pgTable, primaryKey, text, time, timestamp, uuid,
} from 'drizzle-orm/pg-core';

export { alias } from 'drizzle-orm/pg-core';

// drizzle has no type for bytes on PostgreSQL.
const bytea = customType({ dataType: () => 'bytea' });

const key = () => bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity();

export const authors = pgTable('authors', {
  id: key(),
  name: text('name').notNull(),
  email: text('email'),
  country: text('country').notNull().default('none'),
});
export const books = pgTable('books', {
  id: key(),
  authorId: bigint('author_id', { mode: 'number' }).notNull(),
  title: text('title').notNull(),
  pages: integer('pages').notNull().$defaultFn(() => 1),
  price: numeric('price', { precision: 10, scale: 2 }).notNull(),
  rating: doublePrecision('rating').$onUpdateFn(() => 1.5),
});
export const bookTags = pgTable('book_tags', {
  bookId: bigint('book_id', { mode: 'number' }).notNull(),
  tag: text('tag').notNull(),
}, (table) => [primaryKey({ columns: [table.bookId, table.tag] })]);
export const samples = pgTable('samples', {
  id: key(),
  big: bigint('big', { mode: 'bigint' }),
  exact: numeric('exact', { precision: 24, scale: 4 }),
  approximate: doublePrecision('approximate'),
  flag: boolean('flag'),
  words: text('words'),
  raw: bytea('raw'),
  day: date('day', { mode: 'string' }),
  moment: timestamp('moment', { precision: 3 }),
  document: jsonb('document'),
  zoned: timestamp('zoned', { withTimezone: true }),
  clock: time('clock'),
  key: uuid('key'),
  numbers: integer('numbers').array(),
  labels: text('labels').array(),
});
// Dates in the other mode of drizzle.
export const dates = pgTable('samples', {
  id: key(),
  day: date('day', { mode: 'date' }),
  moment: timestamp('moment', { precision: 3, mode: 'string' }),
  zoned: timestamp('zoned', { withTimezone: true, mode: 'string' }),
});
