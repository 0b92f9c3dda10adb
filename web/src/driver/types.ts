/** What the public routes answer (docs/finder.md, docs/certificates.md). */
export interface Place { longitude: number, latitude: number }
export interface FoundConnector {
  connector_id: string, charger_id: string, distance_m: number, power_kw: number | null, current: 'AC' | 'DC' | null, plug: string | null
  state: string, since: string | null, heard: string | null, age_s: number | null, heard_age_s: number | null
  price: { total: string, energy: string, service: string, currency: string, until: string } | null
  assured: boolean | 'unknown'
  station: { station_id: string, name: string, operator: { operator_id: string, name: string }, address: string | null, district: string | null, opening: string | null, open_24h: boolean | null, coordinates: Record<'WGS-84' | 'GCJ-02', Place> }
}
export interface Found { at: string, connectors: FoundConnector[] }
export interface AssuredReason { code: string, met: boolean | null, zh: string, en: string }
export interface ChargerDocument {
  charger_id: string, virtual: boolean, operator: string, station: string | null, address: string | null
  connectors: { connector_id: string, current: string | null, plug: string | null, power_kw: string | null }[]
  verification: { state: 'verified' | 'expired' | 'failed' | 'none', certificate_no: string | null, verified_utc_ms: number | null, valid_to_utc_ms: number | null, confirmed: boolean | null }
  certificates: { number: string, kind: string, status: string, verified_utc_ms: number, valid_to_utc_ms: number | null, confirmed: boolean }[]
  seals: { kind: string, state: string, applied_utc_ms: number | null }[]
  assured?: { assured: boolean | null, reasons: AssuredReason[] }
  complaints_line: string, as_of_utc_ms: number
}
/** A station of the answer, with its connectors from near to far. */
export interface FoundStation { key: string, name: string, operator: string, address: string | null, opening: string | null, open24h: boolean | null, distanceM: number, wgs84: Place, gcj02: Place, connectors: FoundConnector[] }
