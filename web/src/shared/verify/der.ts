/** The little DER that signatures and public keys need (ITU-T X.690), strict: minimal lengths, nothing left over. */
import { Malformed } from './bytes'

const INTEGER = 0x02, BITS = 0x03, OID = 0x06, SEQUENCE = 0x30

/** Return the content of the element at `at` and the index behind it. */
function element(data: Uint8Array, at: number, tag: number): [Uint8Array, number] {
  if (data[at] !== tag) throw new Malformed('another structure than expected')
  let length = data[at + 1] ?? 0x80, start = at + 2
  if (length & 0x80) {
    const size = length & 0x7f
    if (size < 1 || size > 2) throw new Malformed('an unreadable length')
    length = 0
    for (let n = 0; n < size; n += 1) length = length * 256 + (data[start + n] ?? 0)
    if (length < (size === 1 ? 0x80 : 0x100)) throw new Malformed('a length that is not minimal')
    start += size
  }
  if (start + length > data.length) throw new Malformed('an element beyond the data')
  return [data.slice(start, start + length), start + length]
}

function integer(content: Uint8Array, size: number): Uint8Array {
  const [first, second] = content
  if (first === undefined || first & 0x80 || (first === 0 && content.length > 1 && !((second as number) & 0x80))) throw new Malformed('an integer that is not minimal')
  const bare = first === 0 ? content.slice(1) : content
  if (bare.length > size) throw new Malformed('an integer beyond the field')
  const found = new Uint8Array(size)
  found.set(bare, size - bare.length)
  return found
}

/** Return r and s of an ECDSA-Sig-Value, each `size` bytes long, side by side. */
export function rawSignature(der: Uint8Array, size: number): Uint8Array {
  const [body, end] = element(der, 0, SEQUENCE)
  const [r, at] = element(body, 0, INTEGER)
  const [s, rest] = element(body, at, INTEGER)
  if (end !== der.length || rest !== body.length) throw new Malformed('bytes behind the signature')
  const found = new Uint8Array(2 * size)
  found.set(integer(r, size))
  found.set(integer(s, size), size)
  return found
}

/** Curves by the content of their OID, hexadecimal. */
const CURVES: Record<string, string> = {
  '2a8648ce3d030107': 'secp256r1', '2b81040022': 'secp384r1', '2b8104000a': 'secp256k1', '2a811ccf5501822d': 'sm2p256v1',
  '2a8648ce3d030101': 'secp192r1', '2b8104001f': 'secp192k1', '2b2403030208010107': 'brainpool256r1', '2b240303020801010b': 'brainpool384r1',
}
const hex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')

/** Return curve and point of a SubjectPublicKeyInfo (RFC 5480, RFC 8410). */
export function readSpki(data: Uint8Array): { curve: string, point: Uint8Array } {
  const [body, end] = element(data, 0, SEQUENCE)
  const [algorithm, at] = element(body, 0, SEQUENCE)
  const [bits, rest] = element(body, at, BITS)
  if (end !== data.length || rest !== body.length || bits[0] !== 0) throw new Malformed('bytes behind the key')
  const [kind, next] = element(algorithm, 0, OID)
  if (hex(kind) === '2b6570') return { curve: 'ed25519', point: bits.slice(1) }
  if (hex(kind) !== '2a8648ce3d0201') throw new Malformed('no key of a curve')
  const [curve] = element(algorithm, next, OID)
  return { curve: CURVES[hex(curve)] ?? hex(curve), point: bits.slice(1) }
}
