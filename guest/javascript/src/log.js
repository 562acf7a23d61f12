// The log of the host.

import * as host from 'carya:host/log@0.2.0';
import { format } from './format.js';

const at = (level) => (...values) => host.write(level, format(values));

export const log = { trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
