/**
 * The platform's interface, typed by its own OpenAPI document. Answers that are not 2xx become a `Problem`.
 * The document names paths, parameters and bodies; what an answer holds is stated by who asks (`types.ts`).
 */
import createClient, { type Middleware } from 'openapi-fetch'
import { Problem, problemOf } from './problem'

/** The token that an unsafe request of a logged-in person brings, from the session's document. */
let csrf = ''
export const setCsrf = (token: string): void => { csrf = token }

const checked: Middleware = {
  onRequest({ request }) {
    if (!['GET', 'HEAD'].includes(request.method) && csrf) request.headers.set('x-csrf-token', csrf)
    return request
  },
  async onResponse({ response }) {
    if (!response.ok) throw await problemOf(response)
    return response
  },
  onError({ error }) {
    return error instanceof Problem ? error : new Problem(0, 'network', String(error instanceof Error ? error.message : error))
  },
}

/** Return a client of one side's interface. */
export function clientOf<Paths extends object>() {
  const client = createClient<Paths>({ baseUrl: location.origin, credentials: 'same-origin' })
  client.use(checked)
  return client
}

/** Return the answer of a call as the document it is known to be. */
export async function answer<T>(call: Promise<{ data?: unknown }>): Promise<T> {
  return (await call).data as T
}
