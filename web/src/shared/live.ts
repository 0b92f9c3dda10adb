/** Events as they happen (SSE), resumed by the browser itself; whoever fell too far behind starts anew. */
import { onScopeDispose, ref, type Ref } from 'vue'

export interface LiveEvent { id: number, kind: string, data: Record<string, unknown> }

/** Follow `/api/events`. `connected` says whether the stream is open; `stop` ends it, as the scope's end does. */
export function follow(kinds: string[], take: (event: LiveEvent) => void): { connected: Ref<boolean>, stop: () => void } {
  const connected = ref(false)
  let source: EventSource | null = null
  let again: ReturnType<typeof setTimeout> | undefined
  let ended = false

  const open = () => {
    const query = new URLSearchParams(kinds.map((kind): [string, string] => ['kind', kind]))
    source = new EventSource(`/api/events?${query}`)
    source.onopen = () => { connected.value = true }
    source.onerror = () => {
      connected.value = false
      // A refusal (410, 401) closes for good: begin again at now, and let who follows read the present anew.
      if (source?.readyState === EventSource.CLOSED && !ended) again = setTimeout(open, 5_000)
    }
    for (const kind of NAMED) source.addEventListener(kind, heard)
  }
  const heard = (message: MessageEvent<string>) => {
    try { take({ id: Number(message.lastEventId), kind: message.type, data: JSON.parse(message.data) }) } catch { /* no event of ours */ }
  }
  const stop = () => { ended = true; clearTimeout(again); source?.close(); connected.value = false }
  open()
  onScopeDispose(stop)
  return { connected, stop }
}

/** Kinds of event that the platform writes (docs/notices.md): a browser hears named events by their names alone. */
const NAMED: string[] = []
/** Say which kinds there are. */
export function nameKinds(kinds: string[]): void { NAMED.push(...kinds.filter((kind) => !NAMED.includes(kind))) }
