/** Halfspace in Node.js, Deno and Bun: the engine itself, with everything that it answers at once. */
export * from './index.js';
export { openFileStore } from './stores/files.js';
