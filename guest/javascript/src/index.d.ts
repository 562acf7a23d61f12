/// <reference path="./raw.d.ts" />

/**
 * Controllers and hooks for carya as functions.
 *
 * The host owns the transaction of each request: it begins the transaction with the first statement, commits it after a
 * response with a status from 200 to 399, and rolls it back otherwise.
 *
 * @module
 */

// --- Routes ---

/** Access of a route to the database, as in its `[[route]]`. */
export type AccessMode = 'none' | 'read-only' | 'read-write';

/** Names of the parameters of a pattern: `'id'` for `/items/{id}`. */
export type ParamNames<Pattern extends string> =
  Pattern extends `${string}{${infer Name}}${infer Rest}`
    ? (Name extends `*${infer Tail}` ? Tail : Name) | ParamNames<Rest>
    : never;

/** A value that becomes a response, or a promise of one. A text is `text/plain`, a `Uint8Array` is
 * `application/octet-stream`, and everything else is JSON. */
export type Result = HandlerResponse | JsonText | Problem | string | Uint8Array | number | boolean | object | null;

/** A function that serves a route. */
export type Handler<Db, Pattern extends string = string> =
  (request: HandlerRequest<ParamNames<Pattern>>, db: Db) => Result | Promise<Result>;

/** Registers a function for a pattern. Repeat `transaction` if the `[[route]]` sets it. */
export interface Register<Db> {
  <Pattern extends string>(pattern: Pattern, handler: Handler<Db, Pattern>): Router;
  <Pattern extends string, Mode extends AccessMode>(
    pattern: Pattern,
    options: { transaction: Mode },
    handler: Handler<HandleOf<Mode>, Pattern>,
  ): Router;
}

/** The handle of an access mode. */
export type HandleOf<Mode extends AccessMode> =
  Mode extends 'read-only' ? Reader : Mode extends 'read-write' ? Writer : undefined;

/** Registers functions for routes. The pattern is the `path` of a `[[route]]` of the configuration. */
export interface Router {
  /** Serves GET, and HEAD unless there is a function for HEAD. */
  get: Register<Reader>;
  head: Register<Reader>;
  post: Register<Writer>;
  put: Register<Writer>;
  patch: Register<Writer>;
  delete: Register<Writer>;
  /** Serves OPTIONS, without a transaction. */
  options: Register<undefined>;
  /** Serves another method than those above. */
  route<Pattern extends string, Mode extends AccessMode>(
    method: string,
    pattern: Pattern,
    options: { transaction: Mode },
    handler: Handler<HandleOf<Mode>, Pattern>,
  ): Router;
}

/**
 * The routes of this component. A route of the configuration that no function serves is an error when the host loads the
 * component.
 *
 * ```ts
 * router.get('/tickets/{id}', (req, db) => {
 *   const ticket = db.first('SELECT id, title FROM tickets WHERE id = ?', [req.intParam('id')]);
 *   return ticket ?? Problem.notFound('there is no such ticket');
 * });
 * ```
 */
export const router: Router;

// --- The request ---

/** The request. The host copies a part of it into the memory of the guest only when a member returns it. */
export interface HandlerRequest<Names extends string = string> {
  /** The method in capital letters. */
  readonly method: string;
  /** The path without the query, percent-encoded. */
  readonly path: string;
  /** The pattern of the route, such as `/items/{id}`. Undefined before routing, and if no route matches. */
  readonly route: string | undefined;
  /** The parameters of the pattern, percent-decoded. */
  readonly params: Readonly<Record<Names, string>>;
  /** Returns a parameter of the pattern as a whole number. The response is 404 if it is none. */
  intParam(name: Names): number;
  /** Returns the first value of a query parameter, decoded. */
  query(name: string): string | undefined;
  /** Returns all values of a query parameter, decoded, in order. */
  queryAll(name: string): string[];
  /** Returns the query parameters as a schema reads them. A parameter that occurs more than once is an array. The response
   * is 422 with the invalid fields if they do not match. */
  validQuery<Output>(schema: Schema<Output>): Output;
  /** The query as the client sent it, without the question mark. */
  readonly queryString: string;
  /** Returns the first value of a header field. The name is case-insensitive. */
  header(name: string): string | undefined;
  /** Returns the value of the first cookie with this name, percent-decoded. The client chooses the value. */
  cookie(name: string): string | undefined;
  /** Returns the body. */
  bytes(): Uint8Array;
  /** Returns the body as text. The response is 400 if it is not UTF-8. */
  text(): string;
  /** Returns the JSON of the body. The response is 415 for another media type than `application/json` or `+json`, and 400 if
   * the body is not JSON. */
  json(): unknown;
  /** Returns the JSON of the body as a schema reads it. The response is 422 with the invalid fields if it does not match. */
  json<Output>(schema: Schema<Output>): Output;
  /** Returns the fields and files of a form, `application/x-www-form-urlencoded` or `multipart/form-data`. The response is 415
   * for other media types, 400 for a malformed form, and 413 beyond the limits of the host. */
  form(): Form;
  /** Returns the text fields of a form as a schema reads them. The response is 422 with the invalid fields if they do not
   * match. */
  form<Output>(schema: Schema<Output>): Output;
  /** The identity of the client, which a hook has set. */
  readonly identity: Identity | undefined;
  /** Returns the identity of the client. The response is 401 if no hook has set one. */
  requireIdentity(): Identity;
  /** Checks the header `if-match`. The response is 412 if the client has read another version than the present one. A
   * request without the header passes. */
  checkVersion(version: string | number | bigint): void;
  /** Like `checkVersion`, but the response is 428 if the header is missing. */
  requireVersion(version: string | number | bigint): void;
  /** The message that `redirect` has left for this page. It is in a cookie, so a client can forge it: escape it. */
  readonly flash: string | undefined;
  /** Returns a response that deletes the message, so that the browser shows it once. */
  forgetFlash(value: Result): HandlerResponse;
  /** The scheme of the connection: `http` or `https`. */
  readonly scheme: string;
  /** The host name that the client used, with the port if there is one. The client chooses this value. */
  readonly authority: string | undefined;
  /** The IP address of the client, or of the proxy in front of the host. */
  readonly clientAddress: string | undefined;
  /** The identifier of the request, which is also in the host's log and in the response's `x-request-id`. */
  readonly id: string;
}

/** A form. */
export interface Form {
  /** Returns the first text field with this name. */
  text(name: string): string | undefined;
  /** Returns all text fields with this name, in order. */
  texts(name: string): string[];
  /** Returns the first file with this name. */
  file(name: string): FormFile | undefined;
  /** Returns all files with this name, in order. */
  files(name: string): FormFile[];
  /** Returns the text fields by name. A field that occurs more than once is an array. */
  toObject(): Record<string, string | string[]>;
  /** Returns the text fields as a schema reads them. */
  validate<Output>(schema: Schema<Output>): Output;
}

/** A file of a form. */
export interface FormFile {
  /** The name that the client gave the file. Do not use it as a path. */
  readonly name: string;
  /** The media type that the client gave the file. */
  readonly contentType: string | undefined;
  readonly content: Uint8Array;
}

/** The identity of the client. */
export interface Identity {
  /** The name of the client, such as the number of a user. */
  readonly subject: string;
  /** Returns a claim about the client. */
  claim(name: string): unknown;
  /** Returns all claims. */
  claims(): Record<string, unknown>;
}

/** A schema of a library that implements Standard Schema (https://standardschema.dev), such as Valibot, Zod and ArkType. */
export interface Schema<Output> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown, ...rest: never[]) => unknown;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** Parses JSON like `JSON.parse`, but refuses half a surrogate pair and numbers that are too large for a float. */
export function parseJson(text: string): unknown;

// --- The database ---

/** A value of a result. An integer is a `bigint` if a number does not represent it exactly; on QuickJS such an integer is an
 * error. Dates, decimal numbers and UUIDs are texts, in the format of the engine. */
export type SqlValue = null | boolean | number | bigint | string | Uint8Array;

/** A parameter of a statement. A whole number is an integer, and any other number a float. */
export type Param = SqlValue | ArrayBuffer | OtherValue | Float64;

export type Params = readonly Param[];

/** A parameter of a type that JavaScript lacks. */
export interface OtherValue {
  readonly typeName: string;
  readonly text: string;
}

export interface Float64 {
  readonly value: number;
}

/** Returns a parameter of a type that JavaScript lacks: `other('NUMERIC', '12.50')`. */
export function other(typeName: string, text: string): OtherValue;

/** Returns a whole number as a parameter that is a float. */
export function float64(value: number): Float64;

export type Dialect = 'sqlite' | 'postgresql' | 'mysql';

export type Row = Record<string, SqlValue>;

/** The database in a request that only reads.
 *
 * On every engine, `?` is the placeholder of the next parameter and `?1` that of the first one. A function that only reads
 * takes a `Reader`, and so accepts a `Writer` too. */
export interface Reader {
  /** Runs a query and returns all rows, as objects with the names of the columns. */
  all<T = Row>(sql: string, params?: Params): T[];
  /** Runs a query and returns the first row, or undefined if there is no row. */
  first<T = Row>(sql: string, params?: Params): T | undefined;
  /** Runs a query and returns the first row. Throws an error if there is no row. */
  one<T = Row>(sql: string, params?: Params): T;
  /** Runs a query with one column and returns the value of the first row, or undefined if there is no row. */
  value<T = SqlValue>(sql: string, params?: Params): T | undefined;
  /** Runs a query with one column and returns its values. */
  values<T = SqlValue>(sql: string, params?: Params): T[];
  /** Runs a query and returns all rows as JSON text, which the host writes: an array with one object for each row. */
  allJson(sql: string, params?: Params): JsonText;
  /** Runs a query and returns the first row as a JSON object, or undefined if there is no row. */
  firstJson(sql: string, params?: Params): JsonText | undefined;
  /** Runs a query and returns the first row as a JSON object. Throws an error if there is no row. */
  oneJson(sql: string, params?: Params): JsonText;
  /** Runs a statement of any kind and returns its complete result, for object-relational mappers. */
  run(sql: string, params?: Params): StatementResult;
  readonly dialect: Dialect;
  /** The handle of the contract. `raw.d.ts` declares its methods, and those of all interfaces. */
  readonly raw: import('carya:host/database@0.2.0').Reader | import('carya:host/database@0.2.0').Writer;
}

/** The database in a request that writes. */
export interface Writer extends Reader {
  readonly raw: import('carya:host/database@0.2.0').Writer;
  /** Runs a statement. A failed statement dooms the transaction, unless the guest rolls back to a savepoint. */
  execute(sql: string, params?: Params): Execution;
  /** Runs a statement once for each list of parameters, and returns the total number of affected rows. */
  executeBatch(sql: string, rows: readonly Params[]): number;
  /** Runs `work` inside a savepoint. If it throws an error, its changes are undone, and the transaction is not doomed by a
   * statement that failed in `work`. */
  savepoint<T>(work: () => T): T;
  /** Marks the transaction for a rollback. The client still receives the response of the handler. */
  markRollback(): void;
  /** Registers an action that runs after the commit. */
  afterCommit<Payload>(action: Action<Payload>, payload: Payload, delivery: Delivery): void;
  /** Registers an action that runs after a rollback, at most once. */
  afterRollback<Payload>(action: Action<Payload>, payload: Payload): void;
}

/** The effects of a statement. */
export interface Execution {
  readonly rowsAffected: number;
  /** The generated key of the last row of an INSERT, on SQLite and MySQL. Use RETURNING on PostgreSQL. */
  readonly lastInsertId: number | bigint | null;
}

export interface StatementResult extends Execution {
  readonly columns: readonly { readonly name: string; readonly typeName: string }[];
  readonly rows: SqlValue[][];
}

/** How often an action runs. An `at-most-once` action is lost if the host is killed; an `at-least-once` action runs again
 * until it succeeds. */
export type Delivery = 'at-most-once' | 'at-least-once';

export type DbErrorKind =
  | 'constraint' | 'conflict' | 'read-only' | 'forbidden' | 'timeout' | 'limit' | 'lost' | 'busy' | 'data' | 'other';

export type ViolationKind = 'unique' | 'foreign-key' | 'check' | 'not-null' | 'exclusion';

/** A violated constraint. */
export interface Violation {
  readonly kind: ViolationKind;
  readonly name: string | undefined;
  readonly table: string | undefined;
  readonly columns: readonly string[];
}

/** Error of a statement. If no handler catches it, the host rolls back, logs it, and responds with 500. */
export class DbError extends Error {
  private constructor();
  readonly kind: DbErrorKind;
  /** SQLSTATE on PostgreSQL; the error number on SQLite and MySQL. */
  readonly code: string | undefined;
  /** Whether the same statement may succeed in a later attempt. */
  readonly retryable: boolean;
  readonly constraint: Violation | undefined;
  /** Details from PostgreSQL. They may contain values of other rows, so do not send them to the client. */
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  /** Returns whether the statement violated a constraint of this kind. */
  violates(kind: ViolationKind): boolean;
}

/** Returns the `DbError` of an error or of its causes. Object-relational mappers wrap the errors of statements. */
export function dbError(error: unknown): DbError | undefined;

/** Runs `work`. If a statement violates a constraint of this kind, throws the error that `problem` returns.
 *
 * ```ts
 * onViolation('unique', () => Problem.conflict('another item has this name'), () => db.execute('INSERT ..', [name]));
 * ```
 */
export function onViolation<T>(kind: ViolationKind, problem: (error: unknown) => Error, work: () => T): T;

// --- Responses ---

/** A response. */
export class HandlerResponse {
  private constructor();
  /** A status from 200 to 599. */
  readonly status: number;
  withStatus(status: number): this;
  /** Adds a header field. */
  withHeader(name: string, value: string | number): this;
  withHeaders(headers: Record<string, string | number>): this;
  /** Adds a cookie. Scripts cannot read it (`HttpOnly`), and other sites do not send it (`SameSite=Lax`). */
  withCookie(name: string, value: string, options?: CookieOptions): this;
  withoutBody(): this;
}

export interface CookieOptions {
  /** Time in seconds after which the browser deletes the cookie. 0 deletes it at once. */
  maxAge?: number;
  /** Path to which the browser sends the cookie: `/` by default. */
  path?: string;
  /** Sends the cookie only over HTTPS. */
  secure?: boolean;
}

/** Text that is JSON already, such as the rows of `allJson`. */
export class JsonText {
  constructor(text: string);
  readonly text: string;
}

/** Returns a response without a body. */
export function respond(status: number): HandlerResponse;
/** Returns a response with a value as JSON. A `bigint` that a number does not represent exactly becomes a text. */
export function json(value: unknown, status?: number): HandlerResponse;
export function text(value: string, status?: number): HandlerResponse;
export function bytes(value: Uint8Array, status?: number): HandlerResponse;
/** Returns a response to a request that created an object: 201, the header `location`, and the object as JSON. */
export function created(location: string, value: unknown): HandlerResponse;
/** Returns a response without a body: 204. */
export function noContent(): HandlerResponse;
/** Returns a response that sends the browser to another page with GET: 303. `flash` is a message for that page, in a cookie that
 * lives for a minute; the page reads it with `req.flash`. */
export function redirect(location: string, options?: { flash?: string }): HandlerResponse;
/** Returns a response with a template, which the host renders inside the transaction. The members of `context` are its
 * variables. */
export function template(name: string, context: object): HandlerResponse;
/** Returns a response with the rows of a query, which the host writes. A handler that only reads can send any number of
 * rows. */
export const rows: {
  json(sql: string, params?: Params): HandlerResponse;
  ndjson(sql: string, params?: Params): HandlerResponse;
  csv(sql: string, params?: Params): HandlerResponse;
};
/** Returns the entity tag of a version. */
export function etag(version: string | number | bigint): string;
/** Returns a response with the entity tag of a version. If the client has this version already (`if-none-match`), the response
 * is 304. */
export function tagged(version: string | number | bigint, value: Result): HandlerResponse;

// --- Errors ---

/** Error that the client receives as problem details (RFC 9457). Throw it, or return it. All other errors are internal: the
 * host rolls back, logs the error with its stack, and responds with 500. */
export class Problem extends Error {
  constructor(status: number, detail?: string, options?: ProblemOptions);
  readonly status: number;
  readonly detail: string | undefined;
  /** 400: the request cannot be understood. */
  static badRequest(detail: string): Problem;
  /** 401: the client must authenticate. */
  static unauthorized(detail: string): Problem;
  /** 403: the client must not do this. */
  static forbidden(detail: string): Problem;
  /** 404: the object does not exist. */
  static notFound(detail: string): Problem;
  /** 409: the change contradicts the present data. */
  static conflict(detail: string): Problem;
  /** 412: the object has changed since the client read it. */
  static preconditionFailed(detail: string): Problem;
  /** 422: the content is understood, but not acceptable. */
  static unprocessable(detail: string): Problem;
  /** 422 with the rules that fields violate, by name. */
  static invalid(errors: Record<string, string>): Problem;
}

export interface ProblemOptions {
  /** The URI that identifies the type of the problem. */
  type?: string;
  /** The title of the type. By default the standard phrase of the status. */
  title?: string;
  /** Rules that fields violate, by name. */
  errors?: Record<string, string>;
  /** Further members. */
  members?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** Checks of the fields of a request. Reports all invalid fields at once, with status 422. */
export class Checks {
  /** Checks a field: `rule` completes the sentence "The field ...", and is reported unless `valid`. */
  check(field: string, valid: boolean, rule: string): this;
  /** Throws the problem, if a field is not valid. */
  finish(): void;
}

// --- Hooks, actions and the content of the database ---

/** Database handle of a hook: undefined outside of the transaction. */
export type Handle = Reader | Writer | undefined;

/** Registers the hook that runs before routing. It proceeds if it returns nothing. */
export function onRoute(hook: (request: HandlerRequest) => Result | Access | void | Promise<Result | Access | void>): void;
/** Registers the hook that runs before the controller. A result is the response, and no controller runs. */
export function before(hook: (request: HandlerRequest, db: Handle) => Result | void | Promise<Result | void>): void;
/** Registers the hook that runs after the controller or after a failure. */
export function after(hook: (request: HandlerRequest, reply: Reply, db: Handle) => void | Promise<void>): void;
/** Registers the hook that runs after a failure. A result is the response. */
export function onError(
  hook: (request: HandlerRequest, failure: Failure, reply: Reply, db: Handle) => Result | void | Promise<Result | void>,
): void;
/** Registers the function that runs at each start, before the first request, in the component that `[model] component`
 * names. */
export function init(work: (db: Writer) => void | Promise<void>): void;

/** The decision of an `onRoute` hook to proceed with another access mode. */
export class Access {
  private constructor();
  readonly mode: AccessMode;
}

/** Returns the decision to proceed with this access mode, in place of that of the method and of the route. */
export function access(mode: AccessMode): Access;

/** The response on its way to the client. `after` hooks can change it, and `onError` hooks can read it. */
export interface Reply {
  /** The status, or 0 if there is no response yet. */
  readonly status: number;
  setStatus(status: number): void;
  header(name: string): string | undefined;
  setHeader(name: string, value: string | number): void;
  appendHeader(name: string, value: string | number): void;
  removeHeader(name: string): void;
  body(): Uint8Array;
  setBody(body: Uint8Array): void;
}

/** A failed request. */
export interface Failure {
  readonly status: number;
  readonly fault: 'client' | 'guest' | 'database' | 'host';
  /** A description for logs. Do not send it to the client. */
  readonly message: string;
  readonly kind?: DbErrorKind;
  readonly code?: string;
  readonly constraint?: Violation;
}

/** A registered action. */
export interface Action<Payload> {
  readonly name: string;
  /** The type of the payload. The member does not exist. */
  readonly payload?: Payload;
}

/** A delivery of an action. */
export interface Attempt {
  /** The identifier of the action. It is the same for every delivery. */
  readonly id: string;
  /** The number of this delivery, from 1. */
  readonly number: number;
  /** Whether the transaction that registered the action was committed or rolled back. */
  readonly committed: boolean;
  readonly requestId: string;
}

/** Registers a function that runs after a transaction has ended, in a transaction of its own. The payload is sent as JSON.
 *
 * ```ts
 * const confirm = action('confirm', (db, job: { order: number }) => {
 *   db.execute('UPDATE orders SET confirmed = TRUE WHERE id = ?', [job.order]);
 * });
 *
 * router.post('/orders', (req, db) => {
 *   const order = db.value<number>('INSERT INTO orders DEFAULT VALUES RETURNING id');
 *   db.afterCommit(confirm, { order }, 'at-least-once');
 *   return noContent();
 * });
 * ```
 */
export function action<Payload>(
  name: string,
  work: (db: Writer, payload: Payload, attempt: Attempt) => void | Promise<void>,
): Action<Payload>;

/** Sets the identity of the client, with claims about the client. Only hooks outside the transaction can set it, once in a
 * request. */
export function setIdentity(subject: string, claims?: Record<string, unknown>): void;

/** Texts that hooks pass to later hooks and to the controller of a request. */
export const context: {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
};

// --- Settings and log ---

/** Returns a setting of the component that is a number, a boolean, a list or a table. */
export function setting<T = unknown>(name: string): T;
/** Returns a setting of the component that is a text. Any other value is JSON text. */
export function settingText(name: string): string;

/** Writes to the log of the host. `console` writes there too. */
export const log: Record<'trace' | 'debug' | 'info' | 'warn' | 'error', (...values: unknown[]) => void>;
