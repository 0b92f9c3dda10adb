import 'vant/lib/index.css'
import '@/shared/tokens.css'
import './driver.css'
import '@/shared/theme'
import { createApp } from 'vue'
import { wordsOf } from '@/shared/i18n'
import App from './App.vue'
import { pinKey } from './kept'
import { router } from './router'
import { words } from './words'

createApp(App).use(wordsOf(words)).use(router).mount('#app')
void pinKey()
if ('serviceWorker' in navigator && isSecureContext) void navigator.serviceWorker.register('./sw.js')
