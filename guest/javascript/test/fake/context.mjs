import { host } from './host.mjs';

export const get = (key) => host.context.get(key);
export const set = (key, value) => { host.context.set(key, value); };
