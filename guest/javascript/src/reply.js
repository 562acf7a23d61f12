// The response on its way to the client.

import * as response from 'carya:host/response@0.2.0';
import { hostCall } from './host.js';

export class Reply {
  get status() { return response.status(); }
  setStatus(status) { hostCall(() => response.setStatus(status)); }
  header(name) { return response.header(name) ?? undefined; }
  setHeader(name, value) { hostCall(() => response.setHeader(name, String(value))); }
  appendHeader(name, value) { hostCall(() => response.appendHeader(name, String(value))); }
  removeHeader(name) { hostCall(() => response.removeHeader(name)); }
  body() { return response.body(); }
  setBody(body) { hostCall(() => response.setBody(body)); }
}
