// One row of the shop on Node.js: an explicit transaction, a request id, and a line in the log for each request.
//
//     node app.mjs PORT DATABASE-FILE

import { randomUUID } from "node:crypto";
import Database from "better-sqlite3";
import fastify from "fastify";

const [port, file] = process.argv.slice(2);

const database = new Database(file, { timeout: 10_000 });
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.pragma("foreign_keys = ON");
const one = database.prepare("SELECT id, name, price_cents, stock FROM items WHERE id = ?");
const read = database.transaction((id) => one.get(id));

const app = fastify({
  logger: true,
  // The hook below logs one line for each request, as the other servers do.
  disableRequestLogging: true,
  genReqId: () => randomUUID(),
  requestIdHeader: "x-request-id",
});

app.addHook("onSend", async (request, reply) => {
  reply.header("x-request-id", request.id);
});

app.addHook("onResponse", async (request, reply) => {
  const { method, url: path } = request;
  request.log.info({ method, path, status: reply.statusCode, us: Math.round(reply.elapsedTime * 1000) }, "request");
});

const item = {
  type: "object",
  properties: {
    id: { type: "integer" },
    name: { type: "string" },
    price_cents: { type: "integer" },
    stock: { type: "integer" },
  },
};

app.get("/items/:id", { schema: { response: { 200: item } } }, async (request, reply) => {
  const row = read(Number(request.params.id));
  return row ?? reply.code(404).send({ message: "there is no such item" });
});

await app.listen({ host: "127.0.0.1", port: Number(port) });
