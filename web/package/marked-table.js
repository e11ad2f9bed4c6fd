/** A table that a script writes into a text, between two marks: the script writes it, a test compares it. */
import { readFile, writeFile } from 'node:fs/promises';

/**
 * @param {string | URL} file
 * @param {string} start
 * @param {string} end
 */
export function markedTable(file, start, end) {
  const read = async () => {
    const text = await readFile(file, 'utf8');
    const [from, to] = [text.indexOf(start) + start.length, text.indexOf(end)];
    if (from < start.length || to < from) throw new Error(`${file} has no ${start} ... ${end}`);
    return { before: text.slice(0, from), table: text.slice(from, to).trim(), after: text.slice(to) };
  };
  return {
    /** What stands there. */
    read: async () => (await read()).table,
    /** @param {string} table */
    async write(table) {
      const { before, after } = await read();
      await writeFile(file, `${before}\n\n${table}\n\n${after}`);
    },
  };
}
