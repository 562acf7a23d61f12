/// <reference lib="esnext.disposable" />

// Typings of the bindings, which test/raw.test.mjs generates from the WIT.

declare module 'carya:host/actions@0.2.0' {
  /**
   * Runs an action. `db` writes to the database of the request that registered the action.
   * 
   * If it returns no error, the host commits the transaction, unless the action called `mark-rollback`. The action
   * may register further actions with `after-commit` as `at-least-once`, in chains of at most 8 actions. All other
   * registrations fail with the kind `forbidden`.
   * 
   * If it returns an error, the host rolls the transaction back, and logs and counts the failure. An action that is
   * registered as `at-least-once` runs again later. The transaction that commits also marks such an action as done,
   * so the effects of the action in the database happen exactly once.
   */
  export function run(action: Action, db: Writer): void;
  export type Writer = import('carya:host/database@0.2.0').Writer;
  /**
   * The outcome of the transaction that registered an action.
   * # Variants
   * 
   * ## `"commit"`
   * 
   * The transaction was committed: the action was registered with `after-commit`.
   * ## `"rollback"`
   * 
   * The transaction was rolled back: the action was registered with `after-rollback`.
   */
  export type Outcome = 'commit' | 'rollback';
  /**
   * A registered action.
   */
  export interface Action {
    /**
     * The identifier of the action. It is the same for every delivery, so that a receiver can detect a repeated
     * delivery.
     */
    id: string,
    /**
     * The name that the guest registered.
     */
    name: string,
    /**
     * The payload that the guest registered.
     */
    payload: string,
    /**
     * The outcome after which the action runs.
     */
    outcome: Outcome,
    /**
     * The number of this delivery, from 1.
     */
    attempt: number,
    /**
     * The identifier of the request that registered the action. An action that was registered by another action
     * has the request of that action.
     */
    requestId: string,
  }
}

declare module 'carya:host/after@0.2.0' {
  /**
   * Processes a response.
   * 
   * If a hook inside the transaction returns an error, the transaction is rolled back. A hook outside runs after the
   * transaction has ended, so the host only logs its error.
   */
  export function after(db: Handle): void;
  export type Handle = import('carya:host/database@0.2.0').Handle;
}

declare module 'carya:host/before@0.2.0' {
  /**
   * Checks a request before the controller runs.
   * 
   * If it returns a response, the client receives this response, no controller runs, and the transaction is rolled
   * back. If it returns an error, the request fails.
   */
  export function before(db: Handle): Response | undefined;
  export type Response = import('carya:host/types@0.2.0').Response;
  export type Handle = import('carya:host/database@0.2.0').Handle;
}

declare module 'carya:host/config@0.2.0' {
  /**
   * Returns the value of a setting. A string is returned as it is, any other value as JSON text.
   */
  export function get(key: string): string | undefined;
}

declare module 'carya:host/context@0.2.0' {
  /**
   * Returns the value of a key.
   */
  export function get(key: string): string | undefined;
  /**
   * Sets the value of a key. It returns an error beyond 64 keys, or beyond 64 KiB of keys and values in total.
   */
  export function set(key: string, value: string): void;
}

declare module 'carya:host/current@0.2.0' {
  /**
   * Returns another handle to the database of the request. It is valid until the running call returns. A hook that
   * runs outside the transaction gets `none`.
   */
  export function get(): Handle;
  export type Handle = import('carya:host/database@0.2.0').Handle;
}

declare module 'carya:host/database@0.2.0' {
  /**
   * A value of a type without a case in `value`.
   */
  export interface OtherValue {
    /**
     * The engine's name of the type, such as `NUMERIC` or `TIMESTAMPTZ`.
     */
    typeName: string,
    /**
     * The value in the text format of the engine.
     */
    text: string,
  }
  /**
   * An SQL value, as a parameter or in a result.
   */
  export type Value = ValueNull | ValueBoolean | ValueInt64 | ValueFloat64 | ValueText | ValueBytes | ValueOther;
  /**
   * SQL NULL.
   */
  export interface ValueNull {
    tag: 'null',
  }
  /**
   * A boolean. SQLite has no booleans: it stores 0 or 1. In a result, 0 and 1 are booleans if the column is
   * declared as BOOLEAN.
   */
  export interface ValueBoolean {
    tag: 'boolean',
    val: boolean,
  }
  /**
   * A signed integer of at most 64 bits.
   */
  export interface ValueInt64 {
    tag: 'int64',
    val: bigint,
  }
  /**
   * A binary floating-point number. NaN and infinities are included if the engine has them.
   */
  export interface ValueFloat64 {
    tag: 'float64',
    val: number,
  }
  /**
   * Text.
   */
  export interface ValueText {
    tag: 'text',
    val: string,
  }
  /**
   * Bytes.
   */
  export interface ValueBytes {
    tag: 'bytes',
    val: Uint8Array,
  }
  /**
   * An exact value of any other type, as text: decimal numbers, dates, times, UUIDs, JSON, arrays and unsigned
   * 64-bit integers.
   */
  export interface ValueOther {
    tag: 'other',
    val: OtherValue,
  }
  /**
   * A column of a result.
   */
  export interface Column {
    /**
     * The name or the alias.
     */
    name: string,
    /**
     * The engine's name of the type. Empty if the engine reports none, as SQLite does for expressions.
     */
    typeName: string,
  }
  /**
   * A complete result.
   */
  export interface Rows {
    /**
     * The columns. A result without rows has columns too.
     */
    columns: Array<Column>,
    /**
     * The rows. Each row has one value for each column.
     */
    rows: Array<Array<Value>>,
  }
  /**
   * The effects of a statement that returns no rows.
   */
  export interface Execution {
    /**
     * The number of rows that were inserted, updated or deleted.
     */
    rowsAffected: bigint,
    /**
     * The generated key of the last row of an INSERT or REPLACE, on SQLite and MySQL. Use RETURNING on
     * PostgreSQL.
     */
    lastInsertId?: bigint,
  }
  /**
   * The result of a statement of any kind.
   */
  export interface StatementResult {
    /**
     * The columns. Empty for a statement that returns no rows.
     */
    columns: Array<Column>,
    /**
     * The rows. Each row has one value for each column.
     */
    rows: Array<Array<Value>>,
    /**
     * The number of rows that were inserted, updated or deleted.
     */
    rowsAffected: bigint,
    /**
     * The generated key, as in `execution`.
     */
    lastInsertId?: bigint,
  }
  /**
   * A dialect of SQL.
   * # Variants
   * 
   * ## `"sqlite"`
   * 
   * SQLite.
   * ## `"postgresql"`
   * 
   * PostgreSQL.
   * ## `"mysql"`
   * 
   * MySQL and MariaDB.
   */
  export type Dialect = 'sqlite' | 'postgresql' | 'mysql';
  /**
   * The class of an error.
   * # Variants
   * 
   * ## `"constraint"`
   * 
   * The statement violates a unique, foreign key, check or not-null constraint.
   * ## `"conflict"`
   * 
   * The transaction conflicts with another one: serialization failure, deadlock, lock timeout, or a busy
   * database.
   * ## `"read-only"`
   * 
   * The guest sent a statement that writes through a `reader`.
   * ## `"forbidden"`
   * 
   * Guests must not send this statement (transaction control, settings, files, schema changes), the login lacks
   * a privilege, or a component without the export `actions` registers an action.
   * ## `"timeout"`
   * 
   * The statement ran longer than `statement_timeout`.
   * ## `"limit"`
   * 
   * A limit is exceeded: the size of the statement, the number or size of parameters, rows, savepoints or
   * actions, the memory of a statement, or the number of statements that still run after their timeout.
   * ## `"lost"`
   * 
   * The connection is lost, or the handle is no longer valid.
   * ## `"busy"`
   * 
   * No connection became free in time.
   * ## `"data"`
   * 
   * A value does not fit, or cannot be converted to the type of its column.
   * ## `"other"`
   * 
   * Any other error, such as wrong syntax, an unknown table, a type mismatch, or a statement in a doomed
   * transaction.
   */
  export type DbErrorKind = 'constraint' | 'conflict' | 'read-only' | 'forbidden' | 'timeout' | 'limit' | 'lost' | 'busy' | 'data' | 'other';
  /**
   * The kind of a violated constraint.
   * # Variants
   * 
   * ## `"unique"`
   * 
   * ## `"foreign-key"`
   * 
   * ## `"check"`
   * 
   * ## `"not-null"`
   * 
   * ## `"exclusion"`
   */
  export type ViolationKind = 'unique' | 'foreign-key' | 'check' | 'not-null' | 'exclusion';
  /**
   * A violated constraint.
   */
  export interface Violation {
    /**
     * The kind of the constraint.
     */
    kind: ViolationKind,
    /**
     * The name of the constraint or of its unique index. `none` for NOT NULL, and if the constraint has no name.
     */
    name?: string,
    /**
     * The table of the constraint.
     */
    table?: string,
    /**
     * The columns of the constraint, in its order. Empty if they are unknown.
     */
    columns: Array<string>,
  }
  /**
   * An error of a statement.
   */
  export interface DbError {
    /**
     * The class of the error.
     */
    kind: DbErrorKind,
    /**
     * The code that the engine reported: SQLSTATE on PostgreSQL, such as `23505`; the error number on SQLite and
     * MySQL, such as `2067` or `1062`.
     */
    code?: string,
    /**
     * The message of the engine or of the host.
     */
    message: string,
    /**
     * Whether the same statement may succeed in a later attempt.
     */
    retryable: boolean,
    /**
     * The constraint that was violated, if the kind is `constraint`.
     */
    constraint?: Violation,
    /**
     * Details from PostgreSQL. They may contain values of other rows, so do not send them to the client.
     */
    detail?: string,
    /**
     * A proposal from PostgreSQL or from the host for a correction.
     */
    hint?: string,
  }
  /**
   * The delivery guarantee of an action.
   * # Variants
   * 
   * ## `"at-most-once"`
   * 
   * The action runs once, immediately after the commit. It is lost if the host is killed before the action runs.
   * ## `"at-least-once"`
   * 
   * The host records the action in the transaction, and runs the action again until it succeeds, even if the
   * host is killed in between.
   */
  export type Delivery = 'at-most-once' | 'at-least-once';
  /**
   * The database handle of a hook.
   */
  export type Handle = HandleNone | HandleReader | HandleWriter;
  /**
   * No handle: the request has no transaction, or the hook runs outside of it.
   */
  export interface HandleNone {
    tag: 'none',
  }
  /**
   * The handle of a read-only request.
   */
  export interface HandleReader {
    tag: 'reader',
    val: Reader,
  }
  /**
   * The handle of a read/write request.
   */
  export interface HandleWriter {
    tag: 'writer',
    val: Writer,
  }
  
  export class Reader implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * Runs a query and returns all rows.
    */
    query(sql: string, params: Array<Value>): Rows;
    /**
    * Runs a query and returns the values of the first row, or `none` if there is no row.
    */
    queryOne(sql: string, params: Array<Value>): Array<Value> | undefined;
    /**
    * Runs a query and returns all rows as JSON text: an array with one object for each row.
    */
    queryJson(sql: string, params: Array<Value>): string;
    /**
    * Runs a query and returns the first row as a JSON object, or `none` if there is no row.
    */
    queryOneJson(sql: string, params: Array<Value>): string | undefined;
    /**
    * Runs a statement that reads and returns its complete result, also if the statement returns no rows.
    */
    run(sql: string, params: Array<Value>): StatementResult;
    /**
    * Returns the dialect of the database.
    */
    dialect(): Dialect;
    [Symbol.dispose](): void;
  }
  
  export class Savepoint implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * Closes the savepoint and all savepoints inside it, and keeps all changes. Does nothing if the savepoint is
    * closed already.
    */
    release(): void;
    /**
    * Undoes all changes since the savepoint was opened, and keeps the savepoint open. It has the other effects of
    * `rollback`.
    */
    rollbackTo(): void;
    /**
    * Undoes all changes since the savepoint was opened, and closes the savepoint and all savepoints inside it. If
    * the transaction was doomed by a statement after the savepoint, the transaction is no longer doomed.
    */
    rollback(): void;
    [Symbol.dispose](): void;
  }
  
  export class Writer implements Disposable {
    /**
     * This type does not have a public constructor.
     */
    private constructor();
    /**
    * Runs a query, or a statement with RETURNING, and returns all rows.
    */
    query(sql: string, params: Array<Value>): Rows;
    /**
    * Runs a query, or a statement with RETURNING, and returns the values of the first row, or `none` if there is
    * no row.
    */
    queryOne(sql: string, params: Array<Value>): Array<Value> | undefined;
    /**
    * Runs a query, or a statement with RETURNING, and returns all rows as JSON text: an array with one object for
    * each row.
    */
    queryJson(sql: string, params: Array<Value>): string;
    /**
    * Runs a query, or a statement with RETURNING, and returns the first row as a JSON object, or `none` if there is
    * no row.
    */
    queryOneJson(sql: string, params: Array<Value>): string | undefined;
    /**
    * Runs a statement of any kind and returns its complete result: rows, and the number of affected rows.
    */
    run(sql: string, params: Array<Value>): StatementResult;
    /**
    * Returns the dialect of the database.
    */
    dialect(): Dialect;
    /**
    * Runs a statement and returns its effects.
    */
    execute(sql: string, params: Array<Value>): Execution;
    /**
    * Runs a statement once for each list of parameters, and returns the total number of affected rows.
    */
    executeBatch(sql: string, params: Array<Array<Value>>): bigint;
    /**
    * Opens a savepoint.
    */
    savepoint(): Savepoint;
    /**
    * Marks the transaction for a rollback. The client still receives the response of the controller.
    */
    markRollback(): void;
    /**
    * Registers an action that runs after the commit.
    * 
    * The component must export `actions`, otherwise the error has the kind `forbidden`. Actions run in order of
    * registration. A rollback to a savepoint discards all actions that were registered after the savepoint was
    * opened.
    */
    afterCommit(name: string, payload: string, delivery: Delivery): void;
    /**
    * Registers an action that runs after a rollback, at most once. The rules of `after-commit` apply.
    */
    afterRollback(name: string, payload: string): void;
    [Symbol.dispose](): void;
  }
}

declare module 'carya:host/identity-setter@0.2.0' {
  /**
   * Sets the name of the client, and claims about the client as a JSON object.
   * 
   * It returns an error if the identity of this request is set already, in other phases, if the claims are not a JSON
   * object, or beyond 64 KiB.
   */
  export function set(subject: string, claims: string): void;
}

declare module 'carya:host/identity@0.2.0' {
  /**
   * Returns the name of the client, such as the number of a user. Returns `none` if no hook has set an identity.
   */
  export function subject(): string | undefined;
  /**
   * Returns a claim about the client as JSON text: `"admin"` or `["read", "write"]`.
   */
  export function claim(name: string): string | undefined;
  /**
   * Returns all claims as a JSON object.
   */
  export function claims(): string | undefined;
}

declare module 'carya:host/log@0.2.0' {
  /**
   * Writes a message to the log.
   */
  export function write(level: Level, message: string): void;
  /**
   * The severity of a message.
   * # Variants
   * 
   * ## `"trace"`
   * 
   * ## `"debug"`
   * 
   * ## `"info"`
   * 
   * ## `"warn"`
   * 
   * ## `"error"`
   */
  export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

declare module 'carya:host/model@0.2.0' {
  /**
   * Initializes the content of the database.
   * 
   * The host calls it at each start and, unless `[reload] init = false`, at each reload. It runs after the
   * migrations and before the first request, in a separate transaction. If it returns an error, the transaction is
   * rolled back, and the start or the reload fails.
   */
  export function init(db: Writer): void;
  export type Writer = import('carya:host/database@0.2.0').Writer;
}

declare module 'carya:host/on-error@0.2.0' {
  /**
   * Handles a failure.
   * 
   * If it returns a response, the client receives this response. The response does not change the outcome of the
   * transaction. If it returns an error, the host logs the error and calls the next hook.
   */
  export function onError(db: Handle, failure: Failure): Response | undefined;
  export type Response = import('carya:host/types@0.2.0').Response;
  export type Failure = import('carya:host/types@0.2.0').Failure;
  export type Handle = import('carya:host/database@0.2.0').Handle;
}

declare module 'carya:host/on-route@0.2.0' {
  /**
   * Decides how the host proceeds with a request.
   * 
   * If it returns an error, the host logs the error and the client receives status 500.
   */
  export function onRoute(): Decision;
  export type Response = import('carya:host/types@0.2.0').Response;
  export type AccessMode = import('carya:host/types@0.2.0').AccessMode;
  /**
   * The decision of an `on-route` hook about a request.
   */
  export type Decision = DecisionProceed | DecisionAnswer | DecisionAccess;
  /**
   * Proceed with the request.
   */
  export interface DecisionProceed {
    tag: 'proceed',
  }
  /**
   * Send this response. No transaction starts, and no controller runs.
   */
  export interface DecisionAnswer {
    tag: 'answer',
    val: Response,
  }
  /**
   * Proceed with this access mode. It overrides the access mode of the method and of the route.
   */
  export interface DecisionAccess {
    tag: 'access',
    val: AccessMode,
  }
}

declare module 'carya:host/plain-controller@0.2.0' {
  /**
   * Responds to a request.
   * 
   * If it returns an error, the host logs the error and the client receives status 500.
   */
  export function plain(): Response;
  export type Response = import('carya:host/types@0.2.0').Response;
}

declare module 'carya:host/read-controller@0.2.0' {
  /**
   * Responds to a request.
   * 
   * If it returns an error, the host logs the error and the client receives status 500.
   */
  export function read(db: Reader): Response;
  export type Response = import('carya:host/types@0.2.0').Response;
  export type Reader = import('carya:host/database@0.2.0').Reader;
}

declare module 'carya:host/request@0.2.0' {
  /**
   * Returns the method in capital letters.
   */
  export function method(): string;
  /**
   * Returns the path without the query, percent-encoded except for letters, digits and `-._~`.
   */
  export function path(): string;
  /**
   * Returns the pattern of the route that serves the request: `/items/{id}`. Returns `none` before routing, and if no
   * route matches.
   */
  export function route(): string | undefined;
  /**
   * Returns a parameter of the route's pattern, percent-decoded: `id` of `/items/{id}`.
   */
  export function param(name: string): string | undefined;
  /**
   * Returns the names and percent-decoded values of all parameters of the route's pattern, in order.
   */
  export function params(): Array<[string, string]>;
  /**
   * Returns the first value of a query parameter, decoded.
   */
  export function query(name: string): string | undefined;
  /**
   * Returns all values of a query parameter, decoded, in order.
   */
  export function queryAll(name: string): Array<string>;
  /**
   * Returns the query as the client sent it, without the question mark. Empty if there is none.
   */
  export function queryString(): string;
  /**
   * Returns the first value of a header field. The name is case-insensitive. Bytes that are not UTF-8 are replaced
   * by U+FFFD.
   */
  export function header(name: string): string | undefined;
  /**
   * Returns all header fields as text with one line `name: value` for each. Names are in lower case.
   */
  export function headers(): string;
  /**
   * Returns the value of the first cookie with this name, as the client sent it. The name is case-sensitive.
   */
  export function cookie(name: string): string | undefined;
  /**
   * Returns the body.
   */
  export function body(): Uint8Array;
  /**
   * Returns the body as text, or an error if the body is not UTF-8.
   */
  export function bodyText(): string;
  /**
   * Returns the fields of a submitted form, in order. The media type of the body must be
   * `application/x-www-form-urlencoded` or `multipart/form-data`.
   */
  export function form(): Array<FormField>;
  /**
   * Returns the scheme that the client used: `http` or `https`. Behind a proxy it is the scheme of the connection from
   * the proxy, unless the host trusts the proxy (`server.trusted_proxies`).
   */
  export function scheme(): string;
  /**
   * Returns the host name and the port, if there is one, that the client used: `example.org:8080`. Over HTTP/1.1 and
   * HTTP/2 there always is one. The client chooses this value, so do not trust it.
   */
  export function authority(): string | undefined;
  /**
   * Returns the IP address of the client, without a port: `192.0.2.7`. It is the peer of the connection, so behind a
   * proxy it is the address of the proxy, unless the host trusts the proxy (`server.trusted_proxies`). Returns `none`
   * if the client connected to a Unix socket, or if a trusted proxy does not report its address.
   */
  export function clientAddress(): string | undefined;
  /**
   * Returns the identifier of the request. It is also in the response's header field `x-request-id` and in the log
   * of the host.
   */
  export function id(): string;
  /**
   * A field of a form.
   */
  export interface FormField {
    /**
     * The name of the field.
     */
    name: string,
    /**
     * The value of a text field, or the content of a file.
     */
    value: Uint8Array,
    /**
     * The name that the client gave the file. `none` if the field is not a file.
     */
    fileName?: string,
    /**
     * The media type that the client gave the field. Only fields of `multipart/form-data` have one.
     */
    contentType?: string,
  }
  /**
   * The reason why the body is not a form.
   */
  export type FormError = FormErrorNotAForm | FormErrorMalformed | FormErrorLimit;
  /**
   * The media type is not that of a form.
   */
  export interface FormErrorNotAForm {
    tag: 'not-a-form',
  }
  /**
   * The body cannot be parsed. The text names the place.
   */
  export interface FormErrorMalformed {
    tag: 'malformed',
    val: string,
  }
  /**
   * The form exceeds a limit: 1000 fields, 100 files, or 1024 bytes for a name. The text names the limit.
   */
  export interface FormErrorLimit {
    tag: 'limit',
    val: string,
  }
}

declare module 'carya:host/reseed@0.2.0' {
  /**
   * Seeds all generators of random numbers whose state is in the guest's memory.
   * 
   * With the key `warm` of a component, each instance starts with the memory of an instance that has served requests.
   * Without new seeds, all instances would produce the same numbers. The host calls this function in each new
   * instance, before the instance serves a request. The parameters are 256 random bits.
   */
  export function reseed(a: bigint, b: bigint, c: bigint, d: bigint): void;
}

declare module 'carya:host/response@0.2.0' {
  /**
   * Returns the status, or 0 if there is no response yet.
   */
  export function status(): number;
  /**
   * Sets the status that the client receives. The transaction is unaffected.
   */
  export function setStatus(status: number): void;
  /**
   * Returns the first value of a header field. The name is case-insensitive.
   */
  export function header(name: string): string | undefined;
  /**
   * Returns all header fields as text with one line `name: value` for each.
   */
  export function headers(): string;
  /**
   * Sets a header field and removes other fields with this name.
   * 
   * It returns an error if the field is invalid, or if the header would exceed a limit of `[server]`.
   */
  export function setHeader(name: string, value: string): void;
  /**
   * Adds a header field and keeps other fields with this name. Errors are those of `set-header`.
   */
  export function appendHeader(name: string, value: string): void;
  /**
   * Removes all header fields with this name.
   */
  export function removeHeader(name: string): void;
  /**
   * Returns a copy of the body. It is empty if the rows of the response are streamed.
   */
  export function body(): Uint8Array;
  /**
   * Sets the body and keeps `content-type`. It returns an error if the body is longer than `server.max_response`, or if
   * the rows of the response are streamed.
   */
  export function setBody(body: Uint8Array): void;
}

declare module 'carya:host/types@0.2.0' {
  export type Value = import('carya:host/database@0.2.0').Value;
  export type DbErrorKind = import('carya:host/database@0.2.0').DbErrorKind;
  export type Violation = import('carya:host/database@0.2.0').Violation;
  /**
   * A header field: name and value. Neither may contain a line break.
   */
  export type Header = [string, string];
  /**
   * A template with its variables.
   */
  export interface Template {
    /**
     * The path of the file, relative to the folder of templates: `report.html`.
     */
    name: string,
    /**
     * A JSON object. Its members are the variables of the template.
     */
    context: string,
  }
  /**
   * A format of rows.
   * # Variants
   * 
   * ## `"json"`
   * 
   * A JSON array with one object for each row (`application/json`).
   * ## `"ndjson"`
   * 
   * One JSON object on each line (`application/x-ndjson`).
   * ## `"csv"`
   * 
   * CSV by RFC 4180 (`text/csv; charset=utf-8; header=present`). The first record has the names of the columns,
   * also if there are no rows. NULL is an empty field, the empty text is `""`, and bytes are in base64.
   */
  export type RowsFormat = 'json' | 'ndjson' | 'csv';
  /**
   * A query whose rows become the body. It runs in the transaction of the request. In a read-only request, the host
   * streams a result of more than 64 KiB to the client, without a limit on rows and bytes.
   */
  export interface RowsQuery {
    /**
     * One SQL statement that returns rows.
     */
    sql: string,
    /**
     * The parameters, in order.
     */
    params: Array<Value>,
    /**
     * The format of the body.
     */
    format: RowsFormat,
  }
  /**
   * The body of a response.
   * 
   * The host renders the body *inside* the transaction, so that the transaction is rolled back if rendering fails.
   * If the response has no `content-type`, the host adds the type in parentheses.
   */
  export type Body = BodyBytes | BodyText | BodyJson | BodyTemplate | BodyRows;
  /**
   * Bytes (`application/octet-stream`). The host adds no type to an empty list.
   */
  export interface BodyBytes {
    tag: 'bytes',
    val: Uint8Array,
  }
  /**
   * Text (`text/plain; charset=utf-8`).
   */
  export interface BodyText {
    tag: 'text',
    val: string,
  }
  /**
   * JSON text (`application/json`). The host does not validate it.
   */
  export interface BodyJson {
    tag: 'json',
    val: string,
  }
  /**
   * A template, which the host renders (`text/html; charset=utf-8`).
   */
  export interface BodyTemplate {
    tag: 'template',
    val: Template,
  }
  /**
   * A query. The host writes its rows in the format of the query, without passing them to the guest.
   */
  export interface BodyRows {
    tag: 'rows',
    val: RowsQuery,
  }
  /**
   * The response to a request.
   */
  export interface Response {
    /**
     * An HTTP status from 200 to 599. In a read/write request the status decides whether the transaction is
     * committed: by default, 2xx and 3xx commit it, and all other statuses roll it back.
     */
    status: number,
    /**
     * The header fields, in order. A name may occur more than once. A response must not contain the fields that
     * the host sets: `content-length`, `date`, and the fields of the connection, such as `transfer-encoding`. A
     * response with one of these fields is invalid.
     */
    headers: Array<Header>,
    /**
     * The body.
     */
    body: Body,
  }
  /**
   * The access of a request to the database.
   * # Variants
   * 
   * ## `"none"`
   * 
   * No handle.
   * ## `"read-only"`
   * 
   * A `reader`.
   * ## `"read-write"`
   * 
   * A `writer`.
   */
  export type AccessMode = 'none' | 'read-only' | 'read-write';
  /**
   * The party at fault for a failure.
   * # Variants
   * 
   * ## `"client"`
   * 
   * The client: its request is not acceptable, or it disconnected.
   * ## `"guest"`
   * 
   * A guest: it trapped, exceeded a limit of time or memory, or returned an error or an invalid response.
   * ## `"database"`
   * 
   * The database: it rejected a statement, failed, or was not reachable.
   * ## `"host"`
   * 
   * The host itself.
   */
  export type Fault = 'client' | 'guest' | 'database' | 'host';
  /**
   * A failed request, for `on-error` hooks.
   */
  export interface Failure {
    /**
     * The HTTP status that the client receives, unless a hook returns another response.
     */
    status: number,
    /**
     * The party at fault.
     */
    fault: Fault,
    /**
     * A description for logs. Do not send it to the client.
     */
    message: string,
    /**
     * The class of the database error that caused the failure, if one did: an error of a statement, or of the
     * commit.
     */
    kind?: DbErrorKind,
    /**
     * The code of this database error, as in `db-error`.
     */
    code?: string,
    /**
     * The constraint that was violated, as in `db-error`.
     */
    constraint?: Violation,
  }
}

declare module 'carya:host/write-controller@0.2.0' {
  /**
   * Responds to a request.
   * 
   * If it returns an error, the host rolls the transaction back and logs the error, and the client receives
   * status 500.
   */
  export function write(db: Writer): Response;
  export type Response = import('carya:host/types@0.2.0').Response;
  export type Writer = import('carya:host/database@0.2.0').Writer;
}
