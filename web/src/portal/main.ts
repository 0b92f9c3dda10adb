import 'element-plus/dist/index.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import '@/shared/tokens.css'
import '@/shared/office/element.css'
import '@/shared/office/pages.css'
import '@/shared/theme'
import { createApp } from 'vue'
import { wordsOf } from '@/shared/i18n'
import App from './App.vue'
import { router } from './router'
import { words } from './words'

createApp(App).use(wordsOf(words)).use(router).mount('#app')
