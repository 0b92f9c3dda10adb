import { officeWords } from '@/shared/office/words'

export const words = {
  zh: { ...officeWords.zh, title: '安心充电', subtitle: '监管控制台', home: { title: '城市' } },
  en: { ...officeWords.en, title: 'Anxin Charging', subtitle: 'Regulator’s console', home: { title: 'City' } },
}
