export const words = { zh: { title: '安心充电' }, en: { title: 'Anxin Charging' } }
