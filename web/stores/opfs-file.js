/**
 * Files of the origin private file system, written anew from the start: with a synchronous access handle in dedicated workers, which flushes
 * to the disk; elsewhere with a stream, whose content the browser puts in place when it is closed.
 */
/**
 * @typedef {object} FileWriter
 * @property {(bytes: Uint8Array) => Promise<void>} write appends
 * @property {() => Promise<void>} close the file has these bytes and no others
 * @property {() => Promise<void>} abort the file is for nobody to read
 *
 * @typedef {object} SyncAccessHandle
 * @property {(bytes: Uint8Array, options: {at: number}) => number} write
 * @property {(size: number) => void} truncate
 * @property {() => void} flush
 * @property {() => void} close
 */

/** A tab that was killed holds its files for a moment longer. */
const BUSY_TRIES = 50;
const BUSY_PAUSE_MS = 20;

/**
 * @param {FileSystemFileHandle} handle
 * @returns {Promise<FileWriter>}
 */
export async function openWriter(handle) {
  for (let tries = 1; ; tries++) {
    try {
      if ('createSyncAccessHandle' in handle)
        return syncWriter(await /** @type {{createSyncAccessHandle: () => Promise<SyncAccessHandle>}} */ (handle).createSyncAccessHandle());
      return streamWriter(await handle.createWritable());
    } catch (error) {
      if (/** @type {Error} */ (error).name !== 'NoModificationAllowedError' || tries === BUSY_TRIES) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
  }
}

/**
 * @param {SyncAccessHandle} access
 * @returns {FileWriter}
 */
function syncWriter(access) {
  let size = 0;
  return {
    async write(bytes) {
      const written = access.write(bytes, { at: size });
      size += written;
      if (written !== bytes.length) throw new DOMException(`${written} of ${bytes.length} bytes were taken`, 'QuotaExceededError');
    },
    async close() {
      access.truncate(size);
      access.flush();
      access.close();
    },
    async abort() {
      access.close();
    },
  };
}

/**
 * @param {FileSystemWritableFileStream} stream
 * @returns {FileWriter}
 */
const streamWriter = (stream) => ({
  // Streams take no shared memory.
  write: (bytes) => stream.write(bytes.buffer instanceof ArrayBuffer ? /** @type {Uint8Array<ArrayBuffer>} */ (bytes) : bytes.slice()),
  close: () => stream.close(),
  abort: () => stream.abort(),
});
