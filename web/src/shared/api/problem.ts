/** What went wrong, as the platform says it (RFC 9457): status, the rule that was broken, a sentence. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly body: Record<string, unknown> = {},
  ) {
    super(message)
  }

  /** Whether the network, and not the platform, failed. */
  get offline(): boolean { return this.status === 0 }
}

/** Return the problem that an answer tells of. */
export async function problemOf(response: Response): Promise<Problem> {
  let body: Record<string, unknown> = {}
  try { body = await response.clone().json() } catch { /* no document: the status says all */ }
  const text = (name: string) => (typeof body[name] === 'string' ? (body[name] as string) : '')
  return new Problem(response.status, text('rule') || text('type') || text('code'), text('detail') || text('title') || `${response.status} ${response.statusText}`, body)
}
