/**
 * Hand-over to maps. China's maps take GCJ-02; outside of China both systems are one (docs/finder.md). Google draws China's
 * streets in GCJ-02 too and takes degrees as they are. `geo:` is WGS-84 by RFC 5870.
 */
import type { FoundStation } from './types'

export type MapApp = 'amap' | 'baidu' | 'apple' | 'google' | 'geo'
export const APPS: MapApp[] = ['amap', 'baidu', 'apple', 'google', 'geo']

export function linkTo(app: MapApp, s: FoundStation): string {
  const name = encodeURIComponent(s.name), g = s.gcj02, w = s.wgs84
  switch (app) {
    case 'amap': return `https://uri.amap.com/navigation?to=${g.longitude},${g.latitude},${name}&mode=car&coordinate=gaode&callnative=1`
    case 'baidu': return `https://api.map.baidu.com/direction?destination=latlng:${g.latitude},${g.longitude}|name:${name}&mode=driving&coord_type=gcj02&output=html`
    case 'apple': return `https://maps.apple.com/?daddr=${g.latitude},${g.longitude}&q=${name}&dirflg=d`
    case 'google': return `https://www.google.com/maps/dir/?api=1&destination=${g.latitude},${g.longitude}`
    case 'geo': return `geo:${w.latitude},${w.longitude}?q=${w.latitude},${w.longitude}(${name})`
  }
}
