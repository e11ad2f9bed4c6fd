/** f16 bits of numbers and back (Float16Array came after Node 20). */
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** @param {number} value below 65504 in size @returns {number} */
export function toHalf(value) {
  float[0] = value;
  const sign = (bits[0] >>> 16) & 0x8000;
  const size = bits[0] & 0x7fffffff;
  if (size < 113 << 23) return sign | Math.round(Math.abs(value) * 2 ** 24); // below the least normal number
  return sign | (((size + 0x1000) >>> 13) - (112 << 10));
}

/** @param {number} half @returns {number} */
export function fromHalf(half) {
  const size = half & 0x7fff;
  const value = size < 1024 ? size * 2 ** -24 : (1 + (size & 1023) / 1024) * 2 ** ((size >> 10) - 15);
  return half & 0x8000 ? -value : value;
}
