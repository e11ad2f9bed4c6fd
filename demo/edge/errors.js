/** What goes wrong, as HTTP: the status tells whose fault it is, the body is the HalfspaceError. */
import { ChunkError, HalfspaceError } from 'halfspace/edge';

const STATUS = new Map([
  ['bad-argument', 400],
  ['aborted', 409],
  ['closed', 409],
  ['context-full', 413],
  ['io', 502],
  ['checksum', 502],
  ['bad-file', 502],
  ['bad-chunk', 502],
  ['unsupported', 502],
  ['out-of-memory', 507],
]);

/** @param {unknown} error */
export function errorResponse(error) {
  if (!(error instanceof HalfspaceError)) throw error;
  const { code, field, value, limit, message } = error;
  const detail = { code, message, field, value: typeof value === 'object' ? String(value) : value, limit };
  if (error instanceof ChunkError) Object.assign(detail, { chunk: error.chunk, offset: error.offset });
  const missing = code === 'io' && value === 404;
  return Response.json({ error: detail }, { status: missing ? 404 : (STATUS.get(code) ?? 500) });
}
