/** Exact numbers as people read them. Energy is mWh, money ten-thousandths of the currency, time UTC milliseconds. */

/** Return an integer of 10^-places as decimal text without rounding: 12345 with 3 places is "12.345". */
export function scaled(value: number | bigint, places: number, least = 0): string {
  const big = BigInt(value)
  const sign = big < 0n ? '-' : ''
  const digits = (big < 0n ? -big : big).toString().padStart(places + 1, '0')
  const whole = digits.slice(0, digits.length - places)
  let rest = digits.slice(digits.length - places)
  while (rest.length > least && rest.endsWith('0')) rest = rest.slice(0, -1)
  return sign + whole + (rest ? `.${rest}` : '')
}

/** Return energy in kWh as exact text. */
export const kwh = (mwh: number | bigint): string => scaled(mwh, 6, 2)
/** Return money as exact text. */
export const money = (e4: number | bigint): string => scaled(e4, 4, 2)

/** Return a moment as date and time in a zone. */
export function moment(utcMs: number | null | undefined, locale: string, zone = 'Asia/Shanghai', seconds = false): string {
  if (utcMs === null || utcMs === undefined) return '–'
  return new Intl.DateTimeFormat(locale === 'zh' ? 'zh-CN' : 'en-GB', {
    timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit',
    ...(seconds ? { second: '2-digit' } : {}), hour12: false,
  }).format(utcMs)
}

/** Return how long ago, in the coarsest unit that says enough. */
export function ago(seconds: number, locale: string): string {
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [[86_400, 'day'], [3_600, 'hour'], [60, 'minute'], [1, 'second']]
  const [size, unit] = steps.find(([s]) => Math.abs(seconds) >= s) ?? [1, 'second']
  return new Intl.RelativeTimeFormat(locale === 'zh' ? 'zh-CN' : 'en', { numeric: 'auto', style: 'short' }).format(-Math.floor(seconds / size), unit)
}

/** Return a count with separators. */
export const count = (value: number, locale: string): string => value.toLocaleString(locale === 'zh' ? 'zh-CN' : 'en-GB')
