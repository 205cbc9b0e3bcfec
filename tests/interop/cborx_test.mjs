// Files of stele and JavaScript's cbor-x: each reads what the other wrote. The reader is the one of docs/format.md.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
const sourceDir = process.env.STELE_SOURCE_DIR ?? path.resolve(import.meta.dirname ?? '.', '..', '..');
const skip = (reason) => {
  console.log(`skipped: ${reason}`);
  process.exit(77);
};

let cborx;
try {
  cborx = require('cbor-x');
} catch {
  skip('cbor-x is not installed');
}
const { Decoder, Encoder, Tag } = cborx;
const golden = (name) => path.join(sourceDir, 'tests', 'golden', name);

// --- stele to cbor-x -------------------------------------------------------------------------------------------------

const readsWithoutExtensions = () => {
  // what needs no function of its own: maps, text, numbers, typed arrays, no-op tags, sharing
  const [label, root, directory, trailer] = new Decoder({ mapsAsObjects: true }).decodeMultiple(readFileSync(golden('values.stele')));
  assert.equal(label.tag, 55800);
  assert.equal(label.value.tag, 0x5354454c);
  assert.equal(label.value.value.toString(), 'BOR');
  assert.equal(root.numbers.least, -(2n ** 63n));
  assert.equal(root.numbers.most, 2n ** 64n - 1n);
  assert.equal(root.numbers.half, 1.5);
  assert.equal(root.numbers.real, 0.1);
  assert.equal(root.text, 'naïve');
  assert.deepEqual([...root.bytes], [0, 255]);
  assert.deepEqual(root.either, { text: 'text' });
  assert.deepEqual(root.by_name, { a: 1, b: 2, c: 3 });
  assert.equal(root.by_number['-1'], 'minus one');
  assert.equal(directory.format, 1);
  assert.equal(directory.metadata.kind, 'values');
  assert.equal(trailer.length, 48);
  assert.equal(trailer.subarray(40).toString(), 'STELEEND');
};

/// Runs the reader of the format page, which registers extensions for the whole process.
const pageReader = () => {
  const page = readFileSync(path.join(sourceDir, 'docs', 'format.md'), 'utf8');
  const block = /^```js\n\/\/ example: read_archive\n(.*?)^```$/ms.exec(page);
  assert.ok(block, 'docs/format.md has no reader in JavaScript');
  const code = block[1].replace(/^import .*$/gm, '').replace(/^const \[label, root[\s\S]*/m, '');
  assert.ok(code.includes('addExtension'));
  new Function('addExtension', 'Decoder', code)(cborx.addExtension, Decoder);
  return (name) => new Decoder({ mapsAsObjects: true }).decodeMultiple(readFileSync(golden(name)));
};

const readsRecords = (read) => {
  const [, root] = read('graph.stele');
  assert.deepEqual(root.items.map((item) => item.name), ['first', 'second', 'third']);
  assert.equal(root.by_key['b/c'].name, 'fifth');
  assert.equal(root.figures[0].type, 'square');
  assert.deepEqual(root.figures[0].value, { side: 3 });
  assert.equal(root.figures[1], null);
  assert.equal(root.ring.next.name, 'two');
  assert.equal(root.ring.next.next, root.ring);
  assert.equal(root.same, root.ring);
};

const readsArrays = (read) => {
  const [, root, directory] = read('arrays.stele');
  assert.ok(root.reals instanceof Float64Array);
  assert.deepEqual([...root.reals], [0.5, -1, 1e300]);
  assert.deepEqual(root.table.extents, [3, 2]);
  assert.ok(root.table.elements instanceof Int16Array);
  assert.deepEqual([...root.table.elements], [1, 2, 3, 4, 5, -6]);
  assert.equal(root.columns.order, 'F');
  assert.equal(root.columns.elements.length, 1024);
  assert.equal(root.columns.elements[2 * 32 + 3], 3);
  assert.equal(root.again, root.columns);
  assert.equal(root.part.tag, 0x53544503);
  assert.equal(root.flags.tag, 0x53544501);
  const [name, dtype, extents, order, encoding, offset, length] = directory.arrays[0];
  assert.deepEqual([name, dtype, extents, order, encoding, length], ['columns', '<f4', [32, 32], 'F', 'raw', 4096]);
  // the data can be viewed where they lie in the file
  const file = readFileSync(golden('arrays.stele'));
  const view = new Float32Array(new Uint8Array(file).buffer, offset, length / 4);
  assert.deepEqual([...view], [...root.columns.elements]);
};

const readsStreams = () => {
  const file = readFileSync(golden('stream.stele'));
  const decoder = new Decoder({ mapsAsObjects: true });
  // cbor-x has no byte strings of indefinite length, which streams write for growing arrays
  assert.throws(() => decoder.decodeMultiple(file), /Indefinite length/);
  const [, root] = decoder.decodeMultiple(file.subarray(-128)); // the second archive
  assert.equal(root, 'second');
};

// --- cbor-x to stele -------------------------------------------------------------------------------------------------

const stele = process.env.STELE_BIN;

/// An archive whose checksums are left out, so that it must be read without verification.
const wrap = (root) => {
  const label = Buffer.from('d9d9f8da5354454c43424f52', 'hex');
  const directory = new Encoder({ useRecords: false }).encode({ format: 1, writer: 'cbor-x' });
  const place = label.length + root.length;
  const trailer = Buffer.alloc(50);
  trailer.set([0x58, 0x30]);
  [place, directory.length, place + directory.length + 50].forEach((number, i) => trailer.writeBigUInt64LE(BigInt(number), 2 + 8 * i));
  trailer.write('STELEEND', 42);
  return Buffer.concat([label, root, directory, trailer]);
};

const shown = (root) => {
  writeFileSync('foreign.stele', wrap(root));
  return JSON.parse(execFileSync(stele, ['show', '--json', '--full', '--verify', 'none', 'foreign.stele'], { encoding: 'utf8' }));
};

const writesValues = () => {
  const encoder = new Encoder({ useRecords: false, variableMapSize: true });
  const value = { int: 1, negative: -5, float: 0.5, text: 'naïve', list: [1, [true, null]], map: { a: {} } };
  assert.deepEqual(shown(encoder.encode(value)), value);
  assert.deepEqual(shown(new Encoder({ useRecords: false }).encode(value)), value); // maps with longer heads
  assert.equal(shown(encoder.encode({ big: 2n ** 40n })).big, 2 ** 40);
  assert.deepEqual(shown(encoder.encode({ set: new Set([1, 2]), when: new Tag('2026-11-22', 0) })), { set: [1, 2], when: '2026-11-22' });
  assert.equal(shown(new Encoder({ useRecords: false, useFloat32: 3 }).encode([1.25]))[0], 1.25);
};

const writesTypedArrays = () => {
  const encoder = new Encoder({ useRecords: false });
  for (const [array, dtype] of [
    [new Float32Array([1, 2, 3]), 'float32'],
    [new Float64Array([1, 2, 3]), 'float64'],
    [new Int16Array([1, 2, 3]), 'int16'],
    [new Uint32Array([1, 2, 3]), 'uint32'],
    [new Uint8ClampedArray([1, 2, 3]), 'uint8'],
    [new BigInt64Array([1n, 2n, 3n]), 'int64'],
  ]) {
    const { x } = shown(encoder.encode({ x: array }));
    assert.deepEqual([x.dtype, x.shape, x.values], [dtype, [3], [1, 2, 3]]);
  }
  const big = shown(encoder.encode(new Tag(Buffer.from([0, 1, 0, 2]), 65)));
  assert.deepEqual([big.dtype, big.values], ['uint16', [1, 2]]);
};

/// With its own records cbor-x writes tags that only it knows; to stele they are sequences.
const recordsOfCborx = () => {
  const value = shown(new Encoder({ useRecords: true }).encode([{ a: 1 }, { a: 2 }]));
  assert.ok(Array.isArray(value[0]));
};

readsWithoutExtensions();
const read = pageReader();
readsRecords(read);
readsArrays(read);
readsStreams();
if (stele && existsSync(stele)) {
  writesValues();
  writesTypedArrays();
  recordsOfCborx();
  assert.equal(spawnSync(stele, ['verify', 'foreign.stele']).status, 1); // it has no checksums
} else {
  console.log('the command line is not built: nothing written by cbor-x was read');
}
console.log('ok');
