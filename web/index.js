/** Halfspace: long-context decoding on the CPU, in pages, Node.js and edge workers. */
export { commonLength, documentPrompt, questionTokens } from './chat/document-prompt.js';
export { Engine, Prefix } from './engine.js';
export { ChunkError, HalfspaceError } from './errors.js';
export { inspectSnapshot, verifySnapshot } from './snapshot/inspect.js';
export { openMemoryStore } from './stores/memory.js';
export { openOpfsStore } from './stores/opfs.js';
export { cachedModel } from './stores/cached-model.js';
