/** Loading a page's data: busy, problem, and again, with the last answer left where it was. */
import { onScopeDispose, ref, type Ref } from 'vue'
import { Problem } from '../api/problem'
import { forget } from './session'

export interface Load<T> { data: Ref<T | null>, busy: Ref<boolean>, problem: Ref<string>, load: () => Promise<void> }

/** Return the state of an asking; `everyMs` asks again as long as the page is seen. */
export function useLoad<T>(ask: () => Promise<T>, everyMs = 0): Load<T> {
  const data = ref<T | null>(null) as Ref<T | null>, busy = ref(false), problem = ref('')
  let turn = 0
  const load = async () => {
    const mine = (turn += 1)
    busy.value = true
    try {
      const found = await ask()
      if (mine === turn) { data.value = found; problem.value = '' }
    } catch (error) {
      if (mine !== turn) return
      if (error instanceof Problem && error.status === 401) forget()
      problem.value = error instanceof Error ? error.message : String(error)
    } finally { if (mine === turn) busy.value = false }
  }
  void load()
  if (everyMs) {
    const timer = setInterval(() => { if (document.visibilityState === 'visible' && !busy.value) void load() }, everyMs)
    onScopeDispose(() => clearInterval(timer))
  }
  return { data, busy, problem, load }
}
/** Return one part of a sentence in two languages around a dot. */
export const oneOf = (text: string, locale: string): string => { const parts = text.split(' · '); return parts.length === 2 ? (parts[locale === 'zh' ? 0 : 1] as string) : text }
