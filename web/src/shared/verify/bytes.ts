/** Bytes and texts, strictly: one text for each value, so that nothing altered passes for the same. */

/** What was given is not what it should be. Nothing else leaves this folder. */
export class Malformed extends Error {}

export function fromHex(text: string): Uint8Array {
  if (text.length % 2 || !/^[0-9a-f]*$/i.test(text)) throw new Malformed('not hexadecimal')
  return Uint8Array.from({ length: text.length / 2 }, (_, n) => parseInt(text.slice(2 * n, 2 * n + 2), 16))
}

export const toHex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')

export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

export function fromBase64(text: string): Uint8Array {
  let found: Uint8Array
  try { found = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)) } catch { throw new Malformed('not Base64') }
  if (toBase64(found) !== text) throw new Malformed('Base64 with stray bits')
  return found
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, n) => byte === b[n])

export function joined(...parts: Uint8Array[]): Uint8Array {
  const found = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0))
  let at = 0
  for (const part of parts) { found.set(part, at); at += part.length }
  return found
}

/** Return JSON with every number as the text that stands there: a float would round a register. */
export function exactJson(text: string): unknown {
  let out = '', at = 0
  const number = /-?\d+(\.\d+)?([eE][+-]?\d+)?/y
  while (at < text.length) {
    const sign = text[at] as string
    if (sign === '"') {
      let end = at + 1
      while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
      out += text.slice(at, end + 1)
      at = end + 1
    } else if (sign === '-' || (sign >= '0' && sign <= '9')) {
      number.lastIndex = at
      const found = number.exec(text)
      if (!found) throw new Malformed('a number that is none')
      out += `"${found[0]}"`
      at = number.lastIndex
    } else { out += sign; at += 1 }
  }
  try { return JSON.parse(out) } catch { throw new Malformed('not JSON') }
}

/** Return decimal text as an integer of 10^-places, exact; null where it has more digits than that or is no number. */
export function scaledInt(text: unknown, places: number): bigint | null {
  const found = typeof text === 'string' ? /^(-?)(\d+)(?:\.(\d+))?$/.exec(text.trim()) : null
  if (!found) return null
  const digits = (found[3] ?? '').replace(/0+$/, '')
  if (digits.length > places) return null
  const value = BigInt((found[2] as string) + digits.padEnd(places, '0'))
  return found[1] ? -value : value
}
