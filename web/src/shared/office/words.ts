/** Words of what console and portal have in common. */
export const officeWords = {
  zh: {
    office: {
      login: '登录', name: '用户名', password: '口令', code: '动态验证码', codeHint: '身份验证器上的六位数字，或一个恢复码', next: '继续', out: '退出',
      old: '现用口令', fresh: '新口令', freshHint: '至少 12 个字符；不限种类，不用常见口令', change: '修改口令', mustChange: '首次登录须修改口令',
      enrol: '设置第二因素', enrolHint: '用身份验证器扫描，再输入它显示的六位数字', secret: '密钥', kept: '恢复码只显示这一次，请保存', saved: '已保存',
      light: '浅色', dark: '深色', auto: '跟随系统', language: 'English', theme: '主题', skip: '跳到正文', offline: '与平台的连接中断', live: '实时', menu: '菜单',
      empty: '没有内容', failed: '没有成功', again: '重试', loading: '载入中', more: '更多', close: '关闭', cancel: '取消', save: '保存', yes: '确定', back: '返回', search: '搜索', all: '全部', none: '无', unknown: '未知', copy: '复制', copied: '已复制', download: '下载', of: '共',
    },
    role: { inspector: '检查员', supervisor: '主管', admin: '管理员', auditor: '审计员', engineer: '工程师', manager: '负责人', operator: '运营商平台' },
  },
  en: {
    office: {
      login: 'Log in', name: 'Login', password: 'Password', code: 'Code', codeHint: 'Six digits from your authenticator, or a recovery code', next: 'Continue', out: 'Log out',
      old: 'Present password', fresh: 'New password', freshHint: 'At least 12 characters of any kind; no common one', change: 'Change password', mustChange: 'The first password has to be changed',
      enrol: 'Set up the second factor', enrolHint: 'Scan it with an authenticator, then type the six digits that it shows', secret: 'Secret', kept: 'Recovery codes are shown this once: keep them', saved: 'I have kept them',
      light: 'Light', dark: 'Dark', auto: 'As the device', language: '中文', theme: 'Theme', skip: 'Skip to content', offline: 'The connection to the platform is lost', live: 'Live', menu: 'Menu',
      empty: 'Nothing here', failed: 'It did not work', again: 'Try again', loading: 'Loading', more: 'More', close: 'Close', cancel: 'Cancel', save: 'Save', yes: 'Confirm', back: 'Back', search: 'Search', all: 'All', none: 'None', unknown: 'Unknown', copy: 'Copy', copied: 'Copied', download: 'Download', of: 'of',
    },
    role: { inspector: 'Inspector', supervisor: 'Supervisor', admin: 'Administrator', auditor: 'Auditor', engineer: 'Engineer', manager: 'Manager', operator: 'Operator’s platform' },
  },
}
