import { host } from './host.mjs';

export const get = (name) => host.settings[name];
