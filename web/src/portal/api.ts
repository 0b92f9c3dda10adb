/** The outer interface, as an operator's people use it. */
import { clientOf } from '@/shared/api/client'
import type { paths } from '@/shared/api/outer'

export const api = clientOf<paths>()
