// Builds the three faces, each by itself, so that a host serves no code of another's: src/anxin/static/<face>/.
// Every text file is also written compressed, once, so that no request waits for it.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'vite'

const STATIC = resolve(import.meta.dirname, '../src/anxin/static')
const FACES = ['driver', 'portal', 'console']
const TEXT = /\.(html|js|mjs|css|svg|json|webmanifest)$/

const files = (folder) =>
  readdirSync(folder, { recursive: true }).map((name) => join(folder, name)).filter((path) => statSync(path).isFile())

rmSync(STATIC, { recursive: true, force: true })
for (const face of FACES) {
  process.env.ANXIN_FACE = face
  await build({ configFile: join(import.meta.dirname, 'vite.config.ts'), logLevel: 'warn' })
  const folder = join(STATIC, face)
  workerOf(folder)
  let bytes = 0, packed = 0
  for (const path of files(folder)) {
    if (!TEXT.test(path)) continue
    const content = readFileSync(path)
    const small = brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } })
    writeFileSync(`${path}.br`, small)
    writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }))
    bytes += content.length
    packed += small.length
  }
  console.log(`${face}: ${(bytes / 1024).toFixed(0)} KiB, ${(packed / 1024).toFixed(0)} KiB compressed`)
}

// The service worker's list of what to keep: all files of this build, named by their contents.
function workerOf(folder) {
  const path = join(folder, 'sw.js')
  let text
  try { text = readFileSync(path, 'utf8') } catch { return }
  const kept = files(folder).map((p) => relative(folder, p)).filter((p) => p !== 'sw.js').sort()
  const digest = createHash('sha256')
  for (const name of kept) digest.update(name).update(readFileSync(join(folder, name)))
  writeFileSync(path, text
    .replace('__FILES__', JSON.stringify(kept))
    .replace('__VERSION__', digest.digest('hex').slice(0, 16)))
}
