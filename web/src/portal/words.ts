import { officeWords } from '@/shared/office/words'

export const words = {
  zh: { ...officeWords.zh, title: '安心充电', subtitle: '运营商门户', home: { title: '概览' } },
  en: { ...officeWords.en, title: 'Anxin Charging', subtitle: 'Operators’ portal', home: { title: 'Overview' } },
}
