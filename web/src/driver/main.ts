import '@/shared/tokens.css'
import '@/shared/theme'
import { createApp } from 'vue'
import { wordsOf } from '@/shared/i18n'
import App from './App.vue'
import { words } from './words'

createApp(App).use(wordsOf(words)).mount('#app')
