import { createRouter, createWebHashHistory } from 'vue-router'

export const router = createRouter({
  history: createWebHashHistory(),
  scrollBehavior: () => ({ top: 0 }),
  routes: [
    { path: '/', name: 'overview', component: () => import('./pages/Overview.vue') },
    { path: '/uploads', name: 'uploads', component: () => import('./pages/Uploads.vue') },
    { path: '/refused', name: 'refused', component: () => import('./pages/RefusedList.vue') },
    { path: '/refused/:id(\\d+)', name: 'entry', component: () => import('./pages/RefusedEntry.vue'), props: true },
    { path: '/alarms', name: 'alarms', component: () => import('./pages/Alarms.vue') },
    { path: '/alarms/:id(\\d+)', name: 'alarm', component: () => import('./pages/Alarm.vue'), props: true },
    { path: '/sessions', name: 'sessions', component: () => import('./pages/Sessions.vue') },
    { path: '/quality', name: 'quality', component: () => import('./pages/Quality.vue') },
    { path: '/webhooks', name: 'webhooks', component: () => import('./pages/Webhooks.vue') },
    { path: '/people', name: 'people', component: () => import('./pages/People.vue') },
    { path: '/:rest(.*)*', redirect: '/' },
  ],
})
