/** What this phone keeps, and no server: favourites, receipts, complaints, the log's key, the last result. */
import { reactive, watch } from 'vue'
import type { SessionDocument } from '@/shared/verify/session'
import type { Found, FoundStation } from './types'

const NAME = 'anxin.driver'
/** Receipts are some kilobytes each; a browser gives five megabytes. */
export const MAX_RECEIPTS = 100

export interface Kept {
  favourites: Pick<FoundStation, 'key' | 'name' | 'operator' | 'address' | 'wgs84' | 'gcj02'>[]
  receipts: { at: number, session: SessionDocument }[]
  complaints: { number: string, secret: string, order_id: string, at: number }[]
  vkey: string | null
  last: Found | null
  spot: { lon: number, lat: number } | null
}
const empty = (): Kept => ({ favourites: [], receipts: [], complaints: [], vkey: null, last: null, spot: null })

function read(): Kept {
  try { return { ...empty(), ...JSON.parse(localStorage.getItem(NAME) ?? '{}') } } catch { return empty() }
}
export const kept = reactive<Kept>(read())
watch(kept, (now) => { try { localStorage.setItem(NAME, JSON.stringify(now)) } catch { /* a browser that keeps nothing */ } }, { deep: true })

export function keepReceipt(session: SessionDocument): void {
  kept.receipts = [{ at: Date.now(), session }, ...kept.receipts.filter((r) => r.session.order.order_id !== session.order.order_id)].slice(0, MAX_RECEIPTS)
}
export function forgetAll(): void { Object.assign(kept, empty()) }

/** Remember the log's key at the first use, to notice another one later. */
export async function pinKey(): Promise<void> {
  if (kept.vkey) return
  try {
    const answer = await fetch('/log/vkey')
    if (answer.ok) kept.vkey = (await answer.text()).trim()
  } catch { /* offline: the next time */ }
}
