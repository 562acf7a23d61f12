import { host } from './host.mjs';

export const subject = () => host.subject;
export const claim = (name) => (name in host.claims ? JSON.stringify(host.claims[name]) : undefined);
export const claims = () => JSON.stringify(host.claims);
