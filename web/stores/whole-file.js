/** A file that is either what it was or all of what is written, whenever the process or the machine stops. */
import { dirname } from 'node:path';
import process from 'node:process';

/**
 * @typedef {object} FileHandle what is used of node:fs/promises, so that these types need none of Node's
 * @property {(bytes: Uint8Array, offset: number, length: number) => Promise<{bytesWritten: number}>} write
 * @property {() => Promise<void>} sync
 * @property {() => Promise<void>} close
 *
 * @typedef {object} FileSystem
 * @property {(path: string, options: {recursive: boolean}) => Promise<unknown>} mkdir
 * @property {(path: string, flags: string) => Promise<FileHandle>} open
 * @property {(path: string) => Promise<string[]>} readdir
 * @property {(from: string, to: string) => Promise<void>} rename
 * @property {(path: string, options?: {force?: boolean, recursive?: boolean}) => Promise<void>} rm
 * @property {(path: string) => Promise<{size: number, mtimeMs: number, atimeMs: number}>} stat
 * @property {(path: string, accessed: number, modified: number) => Promise<void>} utimes
 */

/**
 * @param {FileSystem} fs
 * @param {string} temporary where the bytes go first, in the folder of the file; it must not exist
 */
export async function createWholeFile(fs, temporary) {
  const file = await fs.open(temporary, 'wx');
  let isOpen = true;
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    await file.close();
  };
  return {
    /** @param {Uint8Array} bytes */
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
    },
    /** All bytes are on the disk. */
    async seal() {
      await file.sync();
      await close();
    },
    /** The file takes its name, for good. @param {string} path */
    async commit(path) {
      await fs.rename(temporary, path);
      await syncFolder(fs, dirname(path));
    },
    /** Nothing is left of it. */
    async discard() {
      await close();
      await fs.rm(temporary, { force: true });
    },
  };
}

/** The names on the disk. Windows has no such thing. @param {FileSystem} fs @param {string} path */
export async function syncFolder(fs, path) {
  if (process.platform === 'win32') return;
  const folder = await fs.open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
