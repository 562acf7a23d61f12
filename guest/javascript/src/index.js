export { setting, settingText } from './config.js';
export { DbError, dbError, onViolation } from './error.js';
export { etag, tagged } from './etag.js';
export { access, action, after, before, context, init, onError, onRoute, setIdentity } from './hooks.js';
export { parseJson } from './json.js';
export { log } from './log.js';
export { Checks, Problem } from './problem.js';
export {
  HandlerResponse, JsonText, bytes, created, json, noContent, redirect, respond, rows, template, text,
} from './response.js';
export { router } from './router.js';
export { float64, other } from './values.js';
