/** Is a message in the log? Receipt, proof and checkpoint (docs/formats/evidence-log.md), with a key that was pinned before. */
import { ed25519 } from '@noble/curves/ed25519.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { Malformed, fromBase64, fromHex, joined, same, toHex, utf8 } from './bytes'

export interface Receipt {
  origin: string, index: number, kind: string, sender: string, message_id: string, received_utc_ms: number
  payload_sha256: string, envelope_sha256: string | null, salt: string | null, entry: string, signature: string
}
export interface Vkey { name: string, id: Uint8Array, key: Uint8Array, text: string }

/** Return a verifier key (C2SP signed-note: name+hash+key) whose hash fits. */
export function readVkey(text: string): Vkey {
  const [name, hash, body, ...more] = text.trim().split('+')
  // Base64 itself may hold a plus: what follows the second one is the key.
  const encoded = [body, ...more].join('+')
  if (!name || !hash || !encoded) throw new Malformed('not a verifier key')
  const data = fromBase64(encoded)
  if (data[0] !== 1 || data.length !== 33) throw new Malformed('not an Ed25519 key')
  const id = sha256(joined(utf8(`${name}\n`), data)).slice(0, 4)
  if (!same(id, fromHex(hash))) throw new Malformed('the key is not the one that its hash names')
  return { name, id, key: data.slice(1), text: text.trim() }
}

const signed = (vkey: Vkey, text: string, signature: Uint8Array): boolean => {
  try { return ed25519.verify(signature, utf8(text), vkey.key) } catch { return false }
}

/** Whether the log's key signed this receipt's place and entry. */
export const receiptSigned = (r: Receipt, vkey: Vkey): boolean =>
  r.origin === vkey.name && signed(vkey, `anxin-receipt/v1\n${r.origin}\n${r.index}\n${r.entry}\n`, fromHex(r.signature))

/** Whether the entry commits to what the receipt says: kind, sender, id, time and digests. Without the salt: false. */
export function entryFits(r: Receipt): boolean {
  if (r.salt === null) return false
  const lines = ['anxin-evidence/v1', r.kind, r.sender, r.message_id, String(r.received_utc_ms), r.payload_sha256, r.envelope_sha256 ?? '-']
  if (lines.some((line) => line.includes('\n'))) return false
  return same(hmac(sha256, fromHex(r.salt), utf8(lines.map((line) => `${line}\n`).join(''))), fromHex(r.entry))
}

/** Whether these bytes are the message's. */
export const payloadFits = (r: Receipt, payload: Uint8Array): boolean => toHex(sha256(payload)) === r.payload_sha256

const leaf = (entry: Uint8Array): Uint8Array => sha256(joined(Uint8Array.of(0), entry))
const node = (left: Uint8Array, right: Uint8Array): Uint8Array => sha256(joined(Uint8Array.of(1), left, right))

/** Return the root that an audit path leads to (RFC 9162, 2.1.3.2). */
export function rootOf(entry: Uint8Array, index: bigint, size: bigint, path: Uint8Array[]): Uint8Array {
  if (index >= size) throw new Malformed('an entry beyond the tree')
  let at = index, last = size - 1n, root = leaf(entry)
  for (const hash of path) {
    if (last === 0n) throw new Malformed('a path that is too long')
    if (at & 1n || at === last) {
      root = node(hash, root)
      while (!(at & 1n) && at !== 0n) { at >>= 1n; last >>= 1n }
    } else root = node(root, hash)
    at >>= 1n
    last >>= 1n
  }
  if (last !== 0n) throw new Malformed('a path that is too short')
  return root
}

export interface Proven { size: bigint, checkpoint: string }

/** Return the tree that this proof shows the receipt's entry in, under a checkpoint of the log's key. Throws Malformed. */
export function proven(r: Receipt, proof: string, vkey: Vkey): Proven {
  const cut = proof.indexOf('\n\n')
  const [head, second, ...path] = proof.slice(0, cut).split('\n').filter((line) => !line.startsWith('extra '))
  if (cut < 0 || head !== 'c2sp.org/tlog-proof@v1' || second !== `index ${r.index}`) throw new Malformed('not the proof of this entry')
  const note = proof.slice(cut + 2), end = note.indexOf('\n\n')
  const text = note.slice(0, end + 1)
  const [origin, sizeText, rootText] = text.split('\n')
  if (end < 0 || origin !== vkey.name || !/^(0|[1-9][0-9]{0,18})$/.test(sizeText ?? '')) throw new Malformed('not a checkpoint of this log')
  const ours = note.slice(end + 2).split('\n').some((line) => {
    const [dash, name, body] = line.split(' ')
    if (dash !== '\u2014' || name !== vkey.name || !body) return false
    try {
      const bytes = fromBase64(body)
      return same(bytes.slice(0, 4), vkey.id) && signed(vkey, text, bytes.slice(4))
    } catch { return false }
  })
  if (!ours) throw new Malformed('the checkpoint is not signed by the log’s key')
  const size = BigInt(sizeText as string)
  if (!same(rootOf(fromHex(r.entry), BigInt(r.index), size, path.map(fromBase64)), fromBase64(rootText ?? ''))) throw new Malformed('the path leads to another root')
  return { size, checkpoint: text }
}
