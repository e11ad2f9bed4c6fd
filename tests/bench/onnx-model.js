/** Writes ONNX models (onnx.proto3): just enough of protobuf for a graph of operators, f32 inputs and f32 constants. */

const FLOAT = 1;
const IR_VERSION = 8;
const OPSET = 17;
const INT_ATTRIBUTE = 2;

/** @typedef {(string | number | Buffer)[]} Fields [field number, value], ...: an integer, a text, or a message's bytes */

/** @param {number} value @returns {Buffer} */
function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

/**
 * @param {[number, number | string | Buffer][]} fields
 * @returns {Buffer}
 */
function message(fields) {
  return Buffer.concat(
    fields.flatMap(([field, value]) => {
      if (typeof value === 'number') return [varint(field << 3), varint(value)];
      const bytes = Buffer.from(value);
      return [varint((field << 3) | 2), varint(bytes.length), bytes];
    }),
  );
}

/** @param {string} name @param {number[]} shape a ValueInfoProto of f32 */
function valueInfo(name, shape) {
  const dims = message(shape.map((n) => [1, message([[1, n]])]));
  const tensor = message([
    [1, FLOAT],
    [2, dims],
  ]);
  return message([
    [1, name],
    [2, message([[1, tensor]])],
  ]);
}

/**
 * @typedef {{op: string, inputs: string[], output: string, attributes?: Record<string, number>}} Node
 * @typedef {{name: string, shape: number[]}} Value
 *
 * @param {{nodes: Node[], inputs: Value[], output: Value, constants: (Value & {data: Float32Array})[]}} graph
 * @returns {Buffer} a ModelProto
 */
export function onnxModel({ nodes, inputs, output, constants }) {
  const graph = message([
    ...nodes.map(({ op, inputs: from, output: to, attributes = {} }) => {
      /** @type {[number, Buffer][]} */
      const given = Object.entries(attributes).map(([name, value]) => [
        5,
        message([
          [1, name],
          [3, value],
          [20, INT_ATTRIBUTE],
        ]),
      ]);
      return /** @type {[number, Buffer]} */ ([
        1,
        message([...from.map((x) => /** @type {[number, string]} */ ([1, x])), [2, to], [4, op], ...given]),
      ]);
    }),
    [2, 'graph'],
    ...constants.map(({ name, shape, data }) => {
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      return /** @type {[number, Buffer]} */ ([
        5,
        message([...shape.map((n) => /** @type {[number, number]} */ ([1, n])), [2, FLOAT], [8, name], [9, bytes]]),
      ]);
    }),
    ...inputs.map(({ name, shape }) => /** @type {[number, Buffer]} */ ([11, valueInfo(name, shape)])),
    [12, valueInfo(output.name, output.shape)],
  ]);
  return message([
    [1, IR_VERSION],
    [7, graph],
    [
      8,
      message([
        [1, ''],
        [2, OPSET],
      ]),
    ],
  ]);
}
