/**
 * Client of `carya test`, for tests in Node.js.
 *
 * ```js
 * import assert from 'node:assert/strict';
 * import { beforeEach, test } from 'node:test';
 * import { openLane } from 'carya-guest/testing';
 *
 * const app = await openLane();
 * beforeEach(() => app.reset());
 *
 * test('adds a note', async () => {
 *   const answer = await app.fetch('/notes', { method: 'POST', body: 'Pecans' });
 *   assert.equal(answer.status, 201);
 *   assert.deepEqual(await app.sql('SELECT text FROM notes'), [{ text: 'Pecans' }]);
 * });
 * ```
 *
 * @module
 */

/** An address of the application with databases of its own. There are at most 16, and each serves 16 requests at a time. */
export class Lane {
  private constructor();
  /** The address, such as `http://127.0.0.1:41234`. */
  readonly url: string;
  /** Sends a request to a path of the application. Redirects are not followed. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Runs a statement as the owner of the database, in a transaction of its own, and returns its rows. */
  sql<T = Record<string, unknown>>(
    statement: string,
    params?: readonly unknown[],
    options?: {
      /** Name of another database than the default one. */
      database?: string;
    },
  ): Promise<T[]>;
  /** Replaces the databases by new ones with the migrations and the data of `[model]`. */
  reset(): Promise<void>;
  /**
   * Sets the state of the replicas of a database until the next `reset`: `lagging` replicas receive no further commits,
   * so reads on them see old data; replicas that are `gone` cannot be reached.
   */
  setReplicas(
    state: 'current' | 'lagging' | 'gone',
    options?: {
      /** Name of another database than the default one. */
      database?: string;
    },
  ): Promise<void>;
}

/** Opens a lane. A file of tests that shares a lane resets it before each test. */
export function openLane(): Promise<Lane>;
