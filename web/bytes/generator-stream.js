/** A generator as a stream. */

/**
 * What the generator yields, computed when it is read. cancel() ends the generator, and resolves when it has ended.
 * @template T
 * @param {AsyncGenerator<T, void>} pieces
 * @param {() => void} [onCancel] called first
 * @returns {ReadableStream<T>}
 */
export function generatorStream(pieces, onCancel) {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        onCancel?.();
        await pieces.return();
      },
    },
    { highWaterMark: 0 },
  );
}
