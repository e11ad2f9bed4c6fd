/** Mutations of bytes that know where the numbers are. */
import fc from 'fast-check';

const LIMITS = [0, 1, 2, 3, 4, 7, 8, 31, 32, 127, 128, 255, 256, 1023, 1024, 65_535, 65_536, 1 << 20, (1 << 20) + 1, 2 ** 31 - 1, 2 ** 31];
const LARGE = [2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n];

export const limitNumber = fc.oneof(fc.constantFrom(...LIMITS.map(BigInt), ...LARGE), fc.bigInt(0n, 2n ** 64n - 1n), fc.bigInt(0n, 300n));

/** Anything that JavaScript or a file may hold where something else is meant. */
export const anyValue = fc.oneof(
  fc.constantFrom(undefined, null, true, false, NaN, Infinity, -Infinity, -0, '', 'x', '__proto__', [], {}, 2n ** 64n),
  fc.integer(),
  fc.constantFrom(...LIMITS, -1, 0.5, 1e300, 2 ** 53),
  fc.double(),
  fc.string({ maxLength: 20 }),
  fc.array(fc.oneof(fc.integer(), fc.string({ maxLength: 5 }), fc.constant(null)), { maxLength: 5 }),
  fc.anything({ maxDepth: 2, maxKeys: 3 }),
);

const place = fc.nat();
const some = fc.integer({ min: 1, max: 64 });

const mutation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('number'), at: place, width: fc.constantFrom(1, 2, 4, 8), value: limitNumber }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('flip'), at: place, bit: fc.nat(7) }) },
  fc.record({ kind: fc.constant('cut'), at: place }),
  fc.record({ kind: fc.constant('remove'), at: place, length: some }),
  fc.record({ kind: fc.constant('repeat'), at: place, length: some }),
  fc.record({ kind: fc.constant('splice'), at: place, from: place, length: some }),
  fc.record({ kind: fc.constant('insert'), at: place, bytes: fc.uint8Array({ minLength: 1, maxLength: 32 }) }),
);

/** Mutations for mutated(), one after the other; byField: whether places count the fields, or all bytes. */
export const mutations = fc.array(fc.tuple(fc.boolean(), mutation), { minLength: 1, maxLength: 4 });

/** @param {Uint8Array} bytes @param {number} at @param {number} removed @param {Uint8Array} inserted */
const spliced = (bytes, at, removed, inserted) =>
  new Uint8Array(Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]));

/**
 * @param {Uint8Array} bytes
 * @param {number[]} fields offsets of numbers
 * @param {[boolean, any][]} list
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function mutated(bytes, fields, list) {
  let result = Uint8Array.from(bytes);
  for (const [byField, { kind, at: place, ...how }] of list) {
    if (result.length === 0) break;
    const at = (byField && fields.length > 0 ? fields[place % fields.length] : place) % result.length;
    if (kind === 'flip') result[at] ^= 1 << how.bit;
    else if (kind === 'number') writeNumber(result, at, how.width, how.value);
    else if (kind === 'cut') result = result.slice(0, at);
    else if (kind === 'remove') result = spliced(result, at, how.length, new Uint8Array());
    else if (kind === 'repeat') result = spliced(result, at, 0, result.subarray(at, at + how.length));
    else if (kind === 'insert') result = spliced(result, at, 0, how.bytes);
    else result.copyWithin(at, how.from % result.length, (how.from % result.length) + how.length);
  }
  return result;
}

/** @param {Uint8Array} bytes @param {number} at @param {number} width @param {bigint} value */
function writeNumber(bytes, at, width, value) {
  for (let i = 0; i < width && at + i < bytes.length; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 255n);
}
