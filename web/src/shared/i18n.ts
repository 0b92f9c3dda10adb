/** Two languages, Chinese first. What was chosen is kept in the browser and nowhere else. */
import { createI18n } from 'vue-i18n'

export type Locale = 'zh' | 'en'
const KEPT = 'anxin.locale'

function first(): Locale {
  try {
    const kept = localStorage.getItem(KEPT)
    if (kept === 'zh' || kept === 'en') return kept
  } catch { /* a browser that keeps nothing shows Chinese or what it asks for */ }
  return navigator.language.toLowerCase().startsWith('zh') || !navigator.language ? 'zh' : 'en'
}

/** Return the plugin over one face's words. */
export function wordsOf(messages: Record<Locale, object>) {
  const locale = first()
  document.documentElement.lang = locale === 'zh' ? 'zh-CN' : 'en'
  return createI18n({ legacy: false, locale, fallbackLocale: 'zh', messages: messages as never })
}

/** Keep a choice and tell the document, so that a screen reader speaks the right language. */
export function keepLocale(locale: Locale): void {
  document.documentElement.lang = locale === 'zh' ? 'zh-CN' : 'en'
  try { localStorage.setItem(KEPT, locale) } catch { /* not kept */ }
}
