/** A driver's session (docs/formats/session.md), verified step by step in this browser. Nothing is asked of the platform. */
import { exactJson, fromHex, scaledInt } from './bytes'
import { entryFits, payloadFits, proven, readVkey, receiptSigned, type Receipt, type Vkey } from './log'
import { judge, type Judged, type Key } from './meter'

export interface Evidence { receipt: Receipt, proof: string | null, payload: string | null, withheld: boolean, records: { signed: string, keys: Key[] }[] }
export interface SessionDocument {
  format: string
  platform: string
  log: { origin: string, vkey: string }
  order: { order_id: string, operator_id: string | null, operator: string, connector_id: string | null, start_utc_ms: number | null, end_utc_ms: number | null,
    energy_milli_wh: number | null, amount_e4: number, energy_amount_e4: number | null, service_amount_e4: number | null, currency: string | null, message_index: number }
  record: { meter_id: string | null, connector_id: string | null, begin_utc_ms: number | null, end_utc_ms: number | null, begin_register_milli_wh: number | null,
    end_register_milli_wh: number | null, energy_milli_wh: number | null, answer: string, reason: string, algorithm: string | null, key_id: string | null, closed: boolean } | null
  verdict: { state: string, judged_utc_ms: number, policy: string, software: string } | null
  findings: { rule: string, severity: string, disagrees: boolean, title_zh: string, title_en: string, expected: string | null, found: string | null, difference: string | null, tolerance: string | null, unit: string | null }[]
  charger: Record<string, unknown> | null
  evidence: Evidence[]
}

export type Outcome = 'holds' | 'fails' | 'not_checked'
/** One step: `name` has words in every language, `detail` says more. */
export interface Step { name: 'meter' | 'figures' | 'bill' | 'receipt' | 'log' | 'key', outcome: Outcome, detail: string }
export interface Verified { steps: Step[], outcome: Outcome, judged: Judged[] }

/** Verify a session against the log's key that was pinned before (null: none was). Never throws. */
export async function verifySession(found: SessionDocument, pinned: string | null): Promise<Verified> {
  const steps: Step[] = []
  const judged: Judged[] = []
  // 1 the meter's signature, over the text as it stands
  for (const one of found.evidence) for (const record of one.records) judged.push(await judge(record.signed, record.keys))
  if (!judged.length) steps.push({ name: 'meter', outcome: 'not_checked', detail: found.record === null ? 'no_record' : 'not_shown' })
  else {
    const bad = judged.find((j) => j.answer === 'forged' || j.answer === 'malformed'), open = judged.find((j) => j.answer === 'cannot_judge')
    steps.push({ name: 'meter', outcome: bad ? 'fails' : open ? 'not_checked' : 'holds', detail: (bad ?? open)?.reason ?? (judged[0] as Judged).algorithm })
  }
  // 2 what was signed is what is shown
  steps.push(figures(found, judged))
  // 3 the bill as it came in is the bill that is shown
  steps.push(bill(found))
  // 4 the log's key, receipts and proofs
  let vkey: Vkey | null = null
  try { vkey = readVkey(pinned ?? found.log.vkey) } catch { /* told below */ }
  steps.push({ name: 'key', outcome: vkey === null || (pinned !== null && pinned !== found.log.vkey) ? 'fails' : pinned === null ? 'not_checked' : 'holds', detail: vkey ? vkey.text : '' })
  steps.push(each('receipt', found.evidence, (one) => {
    if (!vkey || !receiptSigned(one.receipt, vkey)) return 'signature'
    if (one.receipt.salt !== null && !entryFits(one.receipt)) return 'entry'
    return one.payload !== null && !payloadFits(one.receipt, fromHex(one.payload)) ? 'payload' : null
  }))
  const waiting = found.evidence.some((one) => one.proof === null)
  const logged = each('log', found.evidence.filter((one) => one.proof !== null), (one) => {
    if (!vkey) return 'key'
    try { proven(one.receipt, one.proof as string, vkey) } catch (error) { return error instanceof Error ? error.message : 'proof' }
    return null
  })
  steps.push(logged.outcome === 'holds' && waiting ? { ...logged, outcome: 'not_checked', detail: 'not_published' } : logged)
  const outcome = steps.some((s) => s.outcome === 'fails') ? 'fails' : steps.some((s) => s.outcome === 'not_checked' && s.name !== 'key') ? 'not_checked' : 'holds'
  return { steps, outcome, judged }
}

function each(name: Step['name'], evidence: Evidence[], fault: (one: Evidence) => string | null): Step {
  if (!evidence.length) return { name, outcome: 'not_checked', detail: 'none' }
  for (const one of evidence) {
    let found: string | null
    try { found = fault(one) } catch (error) { found = error instanceof Error ? error.message : 'malformed' }
    if (found !== null) return { name, outcome: 'fails', detail: `${one.receipt.kind} ${one.receipt.index}: ${found}` }
  }
  return { name, outcome: 'holds', detail: evidence.map((one) => `#${one.receipt.index}`).join(' ') }
}

function figures(found: SessionDocument, judged: Judged[]): Step {
  const shown = found.record?.energy_milli_wh
  if (shown === null || shown === undefined || !judged.length) return { name: 'figures', outcome: 'not_checked', detail: 'no_record' }
  // A session comes as one record with both readings, or as a begin and an end.
  const energies = judged.map((j) => j.energyMilliWh).filter((e): e is bigint => e !== null)
  let energy: bigint | null = energies.length === 1 ? (energies[0] as bigint) : null
  if (energy === null) {
    const ends = judged.flatMap((j) => j.registers).map((r) => scaledInt(r.text, r.unit === 'kWh' ? 6 : 3)).filter((v): v is bigint => v !== null)
    if (ends.length > 1) energy = ends.reduce((a, b) => (a > b ? a : b)) - ends.reduce((a, b) => (a < b ? a : b))
  }
  if (energy === null) return { name: 'figures', outcome: 'not_checked', detail: 'not_readable' }
  return { name: 'figures', outcome: energy === BigInt(shown) ? 'holds' : 'fails', detail: String(energy) }
}

function bill(found: SessionDocument): Step {
  const one = found.evidence.find((e) => e.receipt.index === found.order.message_index)
  if (!one || one.payload === null || one.receipt.kind !== 'tcec102.order') return { name: 'bill', outcome: 'not_checked', detail: 'withheld' }
  try {
    const said = exactJson(new TextDecoder('utf-8', { fatal: true }).decode(fromHex(one.payload))) as Record<string, unknown>
    const energy = scaledInt(said.TotalPower, 6), amount = scaledInt(said.TotalMoney, 4)
    if (said.StartChargeSeq !== found.order.order_id) return { name: 'bill', outcome: 'fails', detail: 'order_id' }
    if (amount !== BigInt(found.order.amount_e4)) return { name: 'bill', outcome: 'fails', detail: 'amount' }
    if (found.order.energy_milli_wh !== null && energy !== BigInt(found.order.energy_milli_wh)) return { name: 'bill', outcome: 'fails', detail: 'energy' }
    return { name: 'bill', outcome: 'holds', detail: found.order.order_id }
  } catch (error) {
    return { name: 'bill', outcome: 'fails', detail: error instanceof Error ? error.message : 'malformed' }
  }
}
