import { createRouter, createWebHashHistory } from 'vue-router'

export const router = createRouter({
  history: createWebHashHistory(),
  scrollBehavior: () => ({ top: 0 }),
  routes: [
    { path: '/', name: 'city', component: () => import('./pages/City.vue') },
    { path: '/wall', name: 'wall', component: () => import('./pages/City.vue'), meta: { plain: true }, props: { wall: true } },
    { path: '/alarms', name: 'alarms', component: () => import('./pages/Alarms.vue') },
    { path: '/alarms/:id(\\d+)', name: 'alarm', component: () => import('./pages/Alarm.vue'), props: true },
    { path: '/sessions', name: 'sessions', component: () => import('./pages/Sessions.vue') },
    { path: '/sessions/:key(.*)', name: 'session', component: () => import('./pages/Session.vue'), props: true },
    { path: '/chargers', name: 'chargers', component: () => import('./pages/Chargers.vue') },
    { path: '/chargers/:id', name: 'charger', component: () => import('./pages/Charger.vue'), props: true },
    { path: '/surveillance', name: 'surveillance', component: () => import('./pages/Surveillance.vue') },
    { path: '/quality', name: 'quality', component: () => import('./pages/Quality.vue') },
    { path: '/certificates', name: 'certificates', component: () => import('./pages/Certificates.vue') },
    { path: '/rules', name: 'rules', component: () => import('./pages/Rules.vue') },
    { path: '/people', name: 'people', component: () => import('./pages/People.vue') },
    { path: '/log', name: 'log', component: () => import('./pages/Log.vue') },
    { path: '/:rest(.*)*', redirect: '/' },
  ],
})
