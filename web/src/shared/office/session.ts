/** Who is logged in. The cookie is the browser's alone; here is what `/api/session` tells. */
import { reactive, readonly } from 'vue'
import { setCsrf } from '../api/client'
import { Problem, problemOf } from '../api/problem'

export interface Who {
  stage: 'code' | 'password' | 'enrol' | 'open'
  csrf: string
  party_id?: string
  login?: string
  name?: string
  role?: string
  operator_id?: string | null
  districts?: string[]
  rights?: string[]
  second_factor?: boolean
  ends_utc_ms?: number
  recovery_codes?: string[]
}

const state = reactive<{ who: Who | null, known: boolean }>({ who: null, known: false })
export const session = readonly(state) as { readonly who: Who | null, readonly known: boolean }

async function call(method: string, path: string, body?: unknown): Promise<Response> {
  let response: Response
  try {
    response = await fetch(`/api/session${path}`, {
      method, credentials: 'same-origin',
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), 'x-csrf-token': state.who?.csrf ?? '' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    throw new Problem(0, 'network', error instanceof Error ? error.message : String(error))
  }
  if (!response.ok) throw await problemOf(response)
  return response
}

async function take(answer: Promise<Response>): Promise<Who> {
  const who = (await (await answer).json()) as Who
  state.who = who
  setCsrf(who.csrf)
  return who
}

/** Learn whether a session is already open. */
export async function resume(): Promise<void> {
  try {
    await take(call('GET', ''))
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    state.who = null
  }
  state.known = true
}

export const logIn = (login: string, password: string) => take(call('POST', '', { login, password }))
export const showCode = (code: string) => take(call('POST', '/totp', { code }))
export const changePassword = (old: string, fresh: string) => take(call('POST', '/password', { old, new: fresh }))
export const newFactor = async () => (await (await call('POST', '/totp/enrolment')).json()) as { secret: string, otpauth: string }
export const confirmFactor = (code: string) => take(call('POST', '/totp/confirmation', { code }))

export async function logOut(): Promise<void> {
  try { await call('DELETE', '') } finally { forget() }
}

/** The session ended: what was seen is not shown any more. */
export function forget(): void {
  state.who = null
  setCsrf('')
}

/** Whether this person may do something (docs/authorisation.md names the rights). */
export const may = (right: string): boolean => state.who?.stage === 'open' && (state.who.rights?.includes(right) ?? false)
