import { blob, integer, numeric, primaryKey, real, sqliteTable, text } from 'drizzle-orm/sqlite-core';

export { alias } from 'drizzle-orm/sqlite-core';

export const authors = sqliteTable('authors', {
  id: integer('id').primaryKey(),
  name: text('name').notNull(),
  email: text('email'),
  country: text('country').notNull().default('none'),
});
export const books = sqliteTable('books', {
  id: integer('id').primaryKey(),
  authorId: integer('author_id').notNull(),
  title: text('title').notNull(),
  pages: integer('pages').notNull().$defaultFn(() => 1),
  price: numeric('price').notNull(),
  rating: real('rating').$onUpdateFn(() => 1.5),
});
export const bookTags = sqliteTable('book_tags', {
  bookId: integer('book_id').notNull(),
  tag: text('tag').notNull(),
}, (table) => [primaryKey({ columns: [table.bookId, table.tag] })]);
export const samples = sqliteTable('samples', {
  id: integer('id').primaryKey(),
  big: integer('big'),
  exact: numeric('exact'),
  approximate: real('approximate'),
  flag: integer('flag', { mode: 'boolean' }),
  words: text('words'),
  raw: blob('raw', { mode: 'buffer' }),
  day: text('day'),
  moment: integer('moment', { mode: 'timestamp_ms' }),
  document: text('document', { mode: 'json' }),
});
// The column `raw` in the other modes of drizzle.
export const blobs = {
  bigint: sqliteTable('samples', { id: integer('id').primaryKey(), raw: blob('raw', { mode: 'bigint' }) }),
  json: sqliteTable('samples', { id: integer('id').primaryKey(), raw: blob('raw', { mode: 'json' }) }),
};
