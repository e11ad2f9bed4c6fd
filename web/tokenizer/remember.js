/** A bounded memory of what pieces of text were encoded to. */

/** UTF-16 units of a piece that is remembered, and how many are: when there are more all are forgotten. */
const CACHED_LENGTH = 32;
const CACHED_PIECES = 1 << 15;

/**
 * Remembers the ids of short pieces: most words of a text come again.
 * @param {(piece: string) => number[]} encode
 * @returns {(piece: string) => number[]}
 */
export function remember(encode) {
  /** @type {Map<string, number[]>} */
  const known = new Map();
  return (piece) => {
    const found = known.get(piece);
    if (found) return found;
    const ids = encode(piece);
    if (piece.length <= CACHED_LENGTH) {
      if (known.size >= CACHED_PIECES) known.clear();
      known.set(piece, ids);
    }
    return ids;
  };
}
