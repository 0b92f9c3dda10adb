/** The regulator's interface. */
import { clientOf } from '@/shared/api/client'
import type { paths } from '@/shared/api/regulator'

export const api = clientOf<paths>()
