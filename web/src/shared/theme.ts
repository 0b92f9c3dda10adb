/** Light, dark, or as the device is. */
import { ref } from 'vue'

export type Theme = 'auto' | 'light' | 'dark'
const KEPT = 'anxin.theme'
const device = matchMedia('(prefers-color-scheme: dark)')

function kept(): Theme {
  try {
    const found = localStorage.getItem(KEPT)
    if (found === 'light' || found === 'dark') return found
  } catch { /* as the device is */ }
  return 'auto'
}

export const theme = ref<Theme>(kept())
export const dark = ref(false)

function apply(): void {
  dark.value = theme.value === 'dark' || (theme.value === 'auto' && device.matches)
  document.documentElement.classList.toggle('dark', dark.value)
}

/** Choose a theme and keep the choice. */
export function setTheme(chosen: Theme): void {
  theme.value = chosen
  try { localStorage.setItem(KEPT, chosen) } catch { /* not kept */ }
  apply()
}

device.addEventListener('change', apply)
apply()
