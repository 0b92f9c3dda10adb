import vue from '@vitejs/plugin-vue'
import { resolve } from 'node:path'
import { defineConfig, type Plugin } from 'vite'

const face = process.env.ANXIN_FACE ?? 'driver'

/** Vant's style names a font on a stranger's server, behind the one that it carries itself: nothing is loaded from outside. */
const noOutsideFonts: Plugin = {
  name: 'no-outside-fonts',
  enforce: 'pre',
  transform: (code, id) =>
    id.includes('.css') && code.includes('at.alicdn.com')
      ? { code: code.replace(/,\s*url\(["']?\/\/at\.alicdn\.com[^)]*\)\s*format\(["']\w+["']\)/g, ''), map: null }
      : null,
}

export default defineConfig({
  root: resolve(import.meta.dirname, face),
  base: `/${face}/`,
  publicDir: resolve(import.meta.dirname, 'public', face),
  plugins: [noOutsideFonts, vue()],
  resolve: { alias: { '@': resolve(import.meta.dirname, 'src') } },
  define: { __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __INTLIFY_JIT_COMPILATION__: 'true' },
  build: {
    target: 'es2022',
    outDir: resolve(import.meta.dirname, '../src/anxin/static', face),
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1400,
    assetsInlineLimit: 0,
  },
  worker: { format: 'es' },
})
