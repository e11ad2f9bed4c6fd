/** Half-space reporting indexes, KV caches and attention over them, in WebAssembly, without any model. */
export { attend, reluThreshold } from './attention/attend.js';
export { HsrIndex } from './attention/hsr-index.js';
export { KvCache } from './attention/kv-cache.js';
export { PartitionTree } from './attention/partition-tree.js';
export { ChunkError, HalfspaceError } from './errors.js';
export { inspectSnapshot, verifySnapshot } from './snapshot/inspect.js';
