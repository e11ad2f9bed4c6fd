/** Halfspace: long-context decoding on the CPU, in pages, Node.js and edge workers. */
export { Engine, Prefix } from './engine.js';
export { ChunkError, HalfspaceError } from './errors.js';
export { inspectSnapshot, verifySnapshot } from './snapshot/inspect.js';
