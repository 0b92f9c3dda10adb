/** What the regulator's routes answer, as far as these pages read it. */
export interface Status {
  log_size: number, judged: number, published: number, judge_lag_s: number, origin: string, software: string
  connectors: Record<string, number>, messages: Record<string, number>, verdicts: Record<string, number>, findings: Record<string, number>
  severities: Record<string, number>, refused: Record<string, number>, alarms: Record<string, number>
  witnesses: { name: string, size: number, behind: number }[], conflicts: number
}
export interface Places {
  stations: { station_id: string, name: string, district: string | null, operator_id: string, operator: string, longitude: number | null, latitude: number | null }[]
  connector_no: number[], connector_id: string[], charger_id: string[], station: number[], power_w: number[], current: string[]
}
export interface Now { at_utc_ms: number, next: number | null, connector_id: string[], state: string[], age_ms: number[], heard_ms_ago: number[] }
export interface Picture { groups: { key: string, colour: string, taken_ppm: number, sessions: number, energy_milli_wh: number, turnover_e4: number }[] }
export interface HeatMap { taken_ppm: (number | null)[][], sessions: (number | null)[][], energy_milli_wh: (number | null)[][] }
export interface Alarm {
  alarm_id: number, number: string, cause: string, cause_zh: string, cause_en: string, severity: string, state: string, version: number, opened_utc_ms: number, subject: string
  findings: number, sessions: number, billed_milli_wh: number, billed_e4: number, excess_milli_wh: number, excess_e4: number, charger_id: string | null, connector_id: string | null
  meter_id: string | null, operator_id: string | null, district: string | null, due_utc_ms: number | null, overdue: boolean, escalated: number, assigned_to: string | null
  proposed_by: string | null, conclusion: string | null, sent_utc_ms: number | null, closed_utc_ms: number | null
}
export interface AlarmFinding { finding_id: number, present: boolean, rule: string, cause: string, severity: string, disagrees: boolean, zh: string, en: string, expected: string | null, found: string | null, difference: string | null, tolerance: string | null, unit: string | null, session_key: string | null, verdict: string | null, at_utc_ms: number | null }
export interface AlarmStep { step_no: number, at_utc_ms: number, by: string, act: string, state: string, said: Record<string, string>, index: number | null }
export interface AlarmDocument extends Alarm { present_findings: AlarmFinding[], steps: AlarmStep[], comments: { at_utc_ms: number, by: string, text: string, inner_only?: boolean }[], acts: string[] }
export interface Order { order_id: string, message_index: number, operator_id: string | null, connector_id: string | null, meter_id: string | null, start_utc_ms: number | null, end_utc_ms: number | null, energy_milli_wh: number | null, amount_e4: number | null, energy_amount_e4: number | null, service_amount_e4: number | null, currency: string | null, meter_begin_milli_wh: number | null, meter_end_milli_wh: number | null, loss_ratio_ppm: number | null, received_utc_ms: number | null }
export interface MeterRecord { record_id: string, meter_id: string | null, connector_id: string | null, begin_utc_ms: number | null, end_utc_ms: number | null, clock: string, begin_register_milli_wh: number | null, end_register_milli_wh: number | null, energy_milli_wh: number | null, page_context: string | null, page_first: number | null, page_last: number | null, algorithm: string | null, key_id: string | null, answer: string, reason: string, firmware: string | null, received_utc_ms: number | null }
export interface Finding { finding_id: number, rule: string, cause: string, severity: string, disagrees: boolean, zh: string, en: string, expected: string | null, found: string | null, difference: string | null, tolerance: string | null, unit: string | null, judged_utc_ms: number, connector_id?: string | null, operator_id?: string | null, session_key?: string | null, at_utc_ms?: number | null, district?: string | null }
export interface Message { index: number, kind: string, sender: string, message_id: string, received_utc_ms: number, payload_sha256: string, erased: boolean }
export interface Verdict { verdict_id: number, session_key: string, state: string, method: string | null, place: string | null, operator_id: string | null, order_id: string | null, record_id: string | null, start_utc_ms: number | null, end_utc_ms: number | null, order_energy_milli_wh: number | null, record_energy_milli_wh: number | null, amount_e4: number | null, findings: number, judged_utc_ms: number, policy: string, software: string, district?: string | null }
export interface SessionDocument { verdict: Verdict, orders: Order[], records: MeterRecord[], findings: Finding[], messages: Message[], charger_id: string | null }
export interface Charger {
  charger_id: string, virtual: boolean, operator_id: string, operator: string, station: { station_id: string, name: string, district: string | null, address: string | null } | null
  connectors: { connector_id: string, power_w: number, current: string, plug: string | null }[]
  meters: { meter_id: string, connector_id: string, installed_utc_ms: number, removed_utc_ms: number | null, accuracy_class: string | null, approved_firmware: string | null }[]
  verifications: { certificate_no: string, verified_utc_ms: number, valid_to_utc_ms: number, passed: boolean }[]
  seals: { seal_id: string, kind: string, state: string, applied_utc_ms: number }[]
  certificates: { number: string, status: string, kind: string, issued_utc_ms: number, valid_to_utc_ms: number | null, specimen: boolean }[]
  assured: { assured: boolean | null, since_utc_ms: number | null, reasons: { code: string, met: boolean | null, zh: string, en: string }[] }
  alarms: { alarm_id: number, cause: string, severity: string, state: string, opened_utc_ms: number, closed_utc_ms: number | null, conclusion: string | null }[]
  sessions: Verdict[], as_of_utc_ms: number
  readings: { connector_id: string, meter_id: string | null, record_id: string, begin_utc_ms: number | null, end_utc_ms: number, begin_register_milli_wh: number | null, end_register_milli_wh: number | null, energy_milli_wh: number | null, answer: string }[]
}
export interface HistoryLine { at_utc_ms: number, kind: string, what: string, index: number | null, said: Record<string, unknown> }
export interface FoundCharger { charger_id: string, station: string | null, district: string | null, operator_id: string, operator: string, connectors: number, power_w: number, current: string }
export interface Suspect { rank: number, kind: string, subject_id: string, operator_id: string, district: string | null, starts: number, score: number, reasons: { kind: string, zh: string, en: string, strength: number }[] }
export interface Quality { operator_id: string, score_ppm: number, dimensions: { name: string, bad: number, total: number, share_ppm: number | null, weight: number, zh: string, en: string }[] }
export interface Certificate { number: string, kind: string, status: string, charger_id: string, operator_id: string, issued_utc_ms: number, verified_utc_ms: number, valid_to_utc_ms: number | null, unconfirmed: number, specimen: boolean }
export interface Person { party_id: string, login: string, name: string, role: string, districts: string[], operator_id: string | null, suspended?: boolean, second_factor?: boolean }
export interface Refused { refused_id: number, at_utc_ms: number, door: string, sender: string, message_id: string | null, rule: string, field: string | null, detail: string, corrected_by: number | null }
export interface Policy { sha256: string, policy: { title: string, dated: string, values: Record<string, { value: unknown, unit: string, source: string, status: string }> }, rules: { id: string, title_zh: string, title_en: string, explain_zh: string, explain_en: string, basis: { source: string, status: string }[], causes: { id: string, severity: string, zh: string, en: string }[] }[] }
