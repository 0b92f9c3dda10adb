// Writes the types of both apps' interfaces from their OpenAPI documents (openapi/*.json, by `make client`).
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import openapi, { astToString } from 'openapi-typescript'

for (const side of ['outer', 'regulator']) {
  const document = JSON.parse(readFileSync(join(import.meta.dirname, 'openapi', `${side}.json`), 'utf8'))
  const text = astToString(await openapi(document, { alphabetize: true }))
  writeFileSync(join(import.meta.dirname, 'src/shared/api', `${side}.d.ts`), `// Written from openapi/${side}.json.\n${text}`)
}
