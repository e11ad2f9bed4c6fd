/** Halfspace in Node.js, Deno and Bun: all of index.js, and what needs a file system. */
export * from './index.js';
export { openFileStore } from './stores/files.js';
