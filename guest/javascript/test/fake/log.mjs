import { host } from './host.mjs';

export const write = (level, message) => { host.logged.push([level, message]); };
