// One row of the shop on workerd, from the SQLite database of a Durable Object. An isolate serves many requests.

import { DurableObject } from "cloudflare:workers";

export class Shop extends DurableObject {
  constructor(state, env) {
    super(state, env);
    this.sql = state.storage.sql;
    this.sql.exec(
      "CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, name TEXT, price_cents INTEGER, stock INTEGER)",
    );
    // Row 2 of `guest-examples/shop-model`.
    this.sql.exec("INSERT OR REPLACE INTO items VALUES (2, 'Pecan pie', 2450, 6)");
  }

  async fetch(request) {
    const id = Number(new URL(request.url).pathname.split("/")[2]);
    const [row] = this.sql.exec("SELECT id, name, price_cents, stock FROM items WHERE id = ?", id);
    return row ? Response.json(row) : Response.json({ message: "there is no such item" }, { status: 404 });
  }
}

export default {
  async fetch(request, env) {
    return env.shop.get(env.shop.idFromName("shop")).fetch(request);
  },
};
