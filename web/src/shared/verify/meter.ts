/**
 * Who signed a meter's record? The record as text (OCMF 1.4.1) and the register's keys, to one of four answers, as the
 * platform gives them: authentic, forged, malformed, cannot judge. The text is verified as it stands, never written anew.
 */
import { ed25519 } from '@noble/curves/ed25519.js'
import { p256, p384 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sm2 } from 'sm-crypto-v2'
import { Malformed, exactJson, fromBase64, fromHex, scaledInt, toHex, utf8 } from './bytes'
import { sha256 } from '@noble/hashes/sha2.js'
import { rawSignature, readSpki } from './der'

export type Answer = 'authentic' | 'forged' | 'malformed' | 'cannot_judge'
export interface Key { key_id: string, meter_id: string, public_key: string }
export interface Judged {
  answer: Answer
  reason: string
  algorithm: string
  key?: Key
  /** mWh between the first and the last reading of one register; null where they do not say. */
  energyMilliWh: bigint | null
  registers: { text: string, unit: string, time: string }[]
}

const SIZES: Record<string, number> = { secp256r1: 32, secp256k1: 32, secp384r1: 48, sm2p256v1: 32 }
const SPELLINGS: Record<string, string> = {
  'sm2-sm2p256v1-sm3': 'sm2p256v1', 'sm2-sm3': 'sm2p256v1', ed25519: 'ed25519', 'eddsa-ed25519': 'ed25519',
  'ecdsa-secp256r1-sha256': 'secp256r1', 'ecdsa-prime256v1-sha256': 'secp256r1', 'ecdsa-secp384r1-sha256': 'secp384r1', 'ecdsa-secp256k1-sha256': 'secp256k1',
}
/** mWh in one of each unit of OCMF (table 20). */
const UNITS: Record<string, number> = { kWh: 6, Wh: 3 }

/** Return the end of the JSON object that begins at `start`. */
function objectEnd(text: string, start: number): number {
  if (text[start] !== '{') throw new Malformed('a section is a JSON object')
  let depth = 0
  for (let at = start; at < text.length; at += 1) {
    const sign = text[at]
    if (sign === '"') {
      for (at += 1; at < text.length && text[at] !== '"'; at += 1) if (text[at] === '\\') at += 1
    } else if (sign === '{') depth += 1
    else if (sign === '}' && (depth -= 1) === 0) return at + 1
  }
  throw new Malformed('a section breaks off')
}

interface Sections { signed: string, payload: Record<string, unknown>, algorithm: string, curve: string | undefined, signature: Uint8Array }

function sections(record: string): Sections {
  const text = record.trim()
  if (!text.startsWith('OCMF|')) throw new Malformed('a record begins with OCMF|')
  const end = objectEnd(text, 5)
  if (text[end] !== '|') throw new Malformed('no signature section')
  if (objectEnd(text, end + 1) !== text.length) throw new Malformed('text behind the signature')
  const signed = text.slice(5, end)
  const payload = exactJson(signed), section = exactJson(text.slice(end + 1)) as Record<string, unknown>
  if (typeof payload !== 'object' || payload === null || typeof section.SD !== 'string') throw new Malformed('no signature data')
  const algorithm = typeof section.SA === 'string' ? section.SA : 'ECDSA-secp256r1-SHA256'
  const signature = section.SE === 'base64' ? fromBase64(section.SD) : fromHex(section.SD)
  return { signed, payload: payload as Record<string, unknown>, algorithm, curve: SPELLINGS[algorithm.toLowerCase()], signature }
}

function keyOf(text: string): { curve: string, point: Uint8Array } {
  const bare = text.trim().replace(/-----(BEGIN|END) PUBLIC KEY-----/g, '').replace(/\s+/g, '')
  return readSpki(/^[0-9a-f]+$/i.test(bare) && bare.length % 2 === 0 ? fromHex(bare) : fromBase64(bare))
}

function holds(curve: string, signature: Uint8Array, message: Uint8Array, point: Uint8Array): boolean {
  // Both twins of an ECDSA signature are one: s and n - s.
  const options = { lowS: false, format: 'compact' as const }
  if (curve === 'secp256r1') return p256.verify(rawSignature(signature, 32), message, point, options)
  if (curve === 'secp256k1') return secp256k1.verify(rawSignature(signature, 32), message, point, options)
  // Table 22 signs P-384 over SHA-256 as well.
  if (curve === 'ed25519') return ed25519.verify(signature, message, point)
  if (curve === 'sm2p256v1') return sm2.doVerifySignature(message, toHex(rawSignature(signature, 32)), toHex(point), { der: false, hash: true, userId: '1234567812345678' })
  throw new Malformed('unsupported')
}

/** Return the answer on one record. Never throws. */
export async function judge(record: string, keys: Key[]): Promise<Judged> {
  let found: Sections
  try { found = sections(record) } catch (error) {
    return { answer: 'malformed', reason: error instanceof Error ? error.message : 'malformed', algorithm: '', energyMilliWh: null, registers: [] }
  }
  const said = { algorithm: found.algorithm, ...readings(found.payload) }
  if (!keys.length) return { answer: 'cannot_judge', reason: 'no_key', ...said }
  if (!found.curve || !(found.curve in SIZES || found.curve === 'ed25519')) return { answer: 'cannot_judge', reason: 'algorithm_unknown', ...said }
  const message = utf8(found.signed)
  let last: Judged = { answer: 'cannot_judge', reason: 'key_unreadable', ...said }
  for (const key of keys) {
    try {
      const read = keyOf(key.public_key)
      if (read.curve !== found.curve) { last = { answer: 'forged', reason: 'another_curve', key, ...said }; continue }
      const good = found.curve === 'secp384r1' ? p384Holds(found.signature, message, read.point) : holds(found.curve, found.signature, message, read.point)
      if (good) return { answer: 'authentic', reason: 'signature_matches', key, ...said }
      last = { answer: 'forged', reason: 'signature_differs', key, ...said }
    } catch (error) {
      last = { answer: 'malformed', reason: error instanceof Error ? error.message : 'malformed', key, ...said }
    }
  }
  return last
}

function p384Holds(signature: Uint8Array, message: Uint8Array, point: Uint8Array): boolean {
  return p384.verify(rawSignature(signature, 48), sha256(message), point, { lowS: false, format: 'compact', prehash: false })
}

/** Return the registers that a record states, and the energy between its first and its last one of fiscal kind. */
function readings(payload: Record<string, unknown>): Pick<Judged, 'energyMilliWh' | 'registers'> {
  const rows = Array.isArray(payload.RD) ? (payload.RD as Record<string, unknown>[]) : []
  const inherited: Record<string, unknown> = {}
  const kept = rows.map((row) => {
    Object.assign(inherited, row)
    return { value: inherited.RV, unit: String(inherited.RU ?? ''), time: String(row.TM ?? inherited.TM ?? '') }
  })
  const registers = kept.map((k) => ({ text: String(k.value ?? '–'), unit: k.unit, time: k.time.slice(0, 23) }))
  const values = kept.map((k) => scaledInt(k.value, UNITS[k.unit] ?? 0)).filter((v, n): v is bigint => v !== null && (kept[n]?.unit ?? '') in UNITS)
  const [first] = values, final = values[values.length - 1]
  return { registers, energyMilliWh: values.length > 1 && first !== undefined && final !== undefined ? final - first : null }
}
