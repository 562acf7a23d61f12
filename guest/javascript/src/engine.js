/* global CARYA_ENGINE */

// The engine that runs this component. The build command defines the constant. Unit tests run in Node.js, which represents
// integers like StarlingMonkey.
export const engine = typeof CARYA_ENGINE === 'undefined' ? 'node' : CARYA_ENGINE;
