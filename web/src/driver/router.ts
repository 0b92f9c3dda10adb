import { createRouter, createWebHashHistory } from 'vue-router'
import Find from './pages/Find.vue'

export const router = createRouter({
  history: createWebHashHistory(),
  routes: [
    { path: '/', name: 'find', component: Find, meta: { tab: true } },
    { path: '/check', name: 'check', component: () => import('./pages/Check.vue'), meta: { tab: true } },
    { path: '/mine', name: 'mine', component: () => import('./pages/Mine.vue'), meta: { tab: true } },
    { path: '/charger/:id', name: 'charger', component: () => import('./pages/Charger.vue'), props: true },
    { path: '/complain', name: 'complain', component: () => import('./pages/Complain.vue') },
    { path: '/:rest(.*)*', redirect: '/' },
  ],
})
