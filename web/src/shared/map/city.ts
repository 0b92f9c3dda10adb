/**
 * The map of a city: outlines of districts, and points whose colours change without being sent anew (feature state).
 * Everything is drawn from what the platform itself serves, in WGS-84; nothing is loaded from outside.
 */
import 'maplibre-gl/dist/maplibre-gl.css'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url'
import { Map as MlMap, NavigationControl, setWorkerUrl, type GeoJSONSource, type MapGeoJSONFeature, type StyleSpecification } from 'maplibre-gl'

setWorkerUrl(workerUrl)

/** One point. `id` is an integer of the page's own; `state` one of the names of COLOURS. */
export interface MapPoint { id: number, lon: number, lat: number, state: State, label?: string }
export type State = 'busy' | 'normal' | 'idle' | 'unknown' | 'fault' | 'alarm'
const NUMBER: Record<State, number> = { idle: 0, normal: 1, busy: 2, unknown: 3, fault: 4, alarm: 5 }

interface Palette { page: string, land: string, line: string, text: string, halo: string, states: string[] }
const LIGHT: Palette = { page: '#e6eef0', land: '#fbfcfc', line: '#b9c8cd', text: '#3c5159', halo: '#ffffff',
  states: ['#1f9d57', '#e0a100', '#d3362b', '#93a3ab', '#5b4b8a', '#b3261e'] }
const DARK: Palette = { page: '#0b1316', land: '#152126', line: '#33474e', text: '#b4c5ca', halo: '#0b1316',
  states: ['#4fc985', '#f2c14e', '#ff6b5e', '#6d7d85', '#a99ae0', '#ff8d84'] }

const EMPTY: GeoJSON.FeatureCollection = { type: 'FeatureCollection', features: [] }
/** From this zoom on single points are told apart; further out a large city is drawn in clusters. */
export const CLUSTERS_FROM = 20_000

/** A city of thousands is drawn in small points, a handful of stations in large ones. */
function styleOf(palette: Palette, scale: number): StyleSpecification {
  const state = ['coalesce', ['feature-state', 's'], ['get', 's']]
  const colour = ['match', state, ...palette.states.flatMap((c, n) => (n < 5 ? [n, c] : [])), palette.states[5]]
  return {
    version: 8,
    sources: {
      land: { type: 'geojson', data: EMPTY },
      names: { type: 'geojson', data: EMPTY },
      points: { type: 'geojson', data: EMPTY },
      marks: { type: 'geojson', data: EMPTY },
      here: { type: 'geojson', data: EMPTY },
    },
    layers: [
      { id: 'page', type: 'background', paint: { 'background-color': palette.page } },
      { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': palette.land } },
      { id: 'borders', type: 'line', source: 'land', paint: { 'line-color': palette.line, 'line-width': 1.2 } },
      // Names lie under the points: none may hide one.
      { id: 'names', type: 'symbol', source: 'names', layout: { 'text-field': ['get', 'name'], 'text-size': 13, 'text-allow-overlap': false },
        paint: { 'text-color': palette.text, 'text-halo-color': palette.halo, 'text-halo-width': 1.5 } },
      { id: 'points', type: 'circle', source: 'points', paint: {
        'circle-color': colour as never,
        // What is rare and matters is drawn larger: red is told from green by its size too.
        'circle-radius': ['interpolate', ['linear'], ['zoom'], 9, ['*', scale, ['match', state, 2, 4, 1, 3.2, 2.4]], 13, ['*', scale, ['match', state, 2, 8, 1, 6.5, 5]], 16, ['*', scale, ['match', state, 2, 13, 1, 11, 9]]] as never,
        'circle-opacity': 0.88,
        'circle-stroke-color': palette.halo, 'circle-stroke-width': ['interpolate', ['linear'], ['zoom'], 10, 0.3, 14, 1.5],
      } },
      { id: 'marks', type: 'circle', source: 'marks', layout: { 'circle-sort-key': ['get', 'rank'] }, paint: {
        'circle-color': 'rgba(0,0,0,0)', 'circle-radius': ['interpolate', ['linear'], ['zoom'], 9, 7, 14, 13],
        'circle-stroke-color': ['match', ['get', 's'], 4, palette.states[4], palette.states[5]] as never, 'circle-stroke-width': 2.5,
      } },
      { id: 'here-ring', type: 'circle', source: 'here', paint: { 'circle-radius': 14, 'circle-color': '#1769d2', 'circle-opacity': 0.18 } },
      { id: 'here', type: 'circle', source: 'here', paint: { 'circle-radius': 6, 'circle-color': '#1769d2', 'circle-stroke-color': '#ffffff', 'circle-stroke-width': 2 } },
      { id: 'labels', type: 'symbol', source: 'points', minzoom: 13.5, layout: { 'text-field': ['coalesce', ['get', 'label'], ''], 'text-size': 12, 'text-offset': [0, 1.3], 'text-anchor': 'top' },
        paint: { 'text-color': palette.text, 'text-halo-color': palette.halo, 'text-halo-width': 1.5 } },
    ],
  }
}

/** A map in an element of the page. */
export class CityMap {
  readonly map: MlMap
  private ready: Promise<void>
  private land: GeoJSON.FeatureCollection = EMPTY
  private points: MapPoint[] = []
  private marks: MapPoint[] = []
  private spot: [number, number] | null = null
  private states = new Map<number, State>()

  constructor(container: HTMLElement, dark: boolean, pick: (id: number) => void = () => {}, private scale = 1) {
    this.map = new MlMap({
      container, style: styleOf(dark ? DARK : LIGHT, scale), attributionControl: false, fadeDuration: 0, center: [120.15, 30.27], zoom: 9,
      localIdeographFontFamily: "'Noto Sans CJK SC','Noto Sans SC','PingFang SC','Microsoft YaHei',sans-serif",
      dragRotate: false, pitchWithRotate: false, touchPitch: false, maxZoom: 18,
    })
    this.map.addControl(new NavigationControl({ showCompass: false }), 'top-right')
    this.ready = new Promise((done) => { this.map.once('style.load', () => done()) })
    for (const layer of ['points', 'marks']) {
      this.map.on('click', layer, (event: { features?: MapGeoJSONFeature[] }) => {
        const id = event.features?.[0]?.id
        if (typeof id === 'number') pick(id)
      })
      this.map.on('mouseenter', layer, () => { this.map.getCanvas().style.cursor = 'pointer' })
      this.map.on('mouseleave', layer, () => { this.map.getCanvas().style.cursor = '' })
    }
  }

  /** Draw outlines of districts, each with a `name`. */
  async setLand(land: GeoJSON.FeatureCollection): Promise<void> {
    this.land = land
    await this.ready
    this.source('land').setData(land)
    this.source('names').setData({ type: 'FeatureCollection', features: land.features.flatMap((f) => {
      const at = (f.properties as { label_at?: [number, number] } | null)?.label_at
      return at ? [{ type: 'Feature', properties: f.properties, geometry: { type: 'Point', coordinates: at } } as GeoJSON.Feature] : []
    }) })
  }

  /** Draw these points in place of those that were there. */
  async setPoints(points: MapPoint[]): Promise<void> {
    this.points = points
    this.states = new Map(points.map((p) => [p.id, p.state]))
    await this.ready
    this.source('points').setData(collection(points))
    this.map.removeFeatureState({ source: 'points' })
  }

  /** Change the colours of some points, of which most are as they were. Returns how many changed. */
  async paint(changes: Iterable<readonly [number, State]>): Promise<number> {
    await this.ready
    let changed = 0
    for (const [id, state] of changes) {
      if (this.states.get(id) === state) continue
      this.states.set(id, state)
      this.map.setFeatureState({ source: 'points', id }, { s: NUMBER[state] })
      changed += 1
    }
    return changed
  }

  /** Ring these points: what must be seen among thousands. */
  async setMarks(marks: MapPoint[]): Promise<void> {
    this.marks = marks
    await this.ready
    this.source('marks').setData(collection(marks))
  }

  /** Show where somebody stands, or nobody. */
  async setHere(spot: [number, number] | null): Promise<void> {
    this.spot = spot
    await this.ready
    this.source('here').setData(spot ? { type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates: spot } } : EMPTY)
  }

  /** Bring these places into view. */
  fit(places: { lon: number, lat: number }[], padding = 40): void {
    if (!places.length) return
    const lons = places.map((p) => p.lon), lats = places.map((p) => p.lat)
    this.map.fitBounds([[Math.min(...lons), Math.min(...lats)], [Math.max(...lons), Math.max(...lats)]], { padding, maxZoom: 15, animate: false })
  }

  /** Draw in the other theme; what was drawn stays. */
  async setDark(dark: boolean): Promise<void> {
    await this.ready
    const now = this.points.map((p) => ({ ...p, state: this.states.get(p.id) ?? p.state }))
    this.ready = new Promise((done) => { this.map.once('style.load', () => done()) })
    this.map.setStyle(styleOf(dark ? DARK : LIGHT, this.scale), { diff: false })
    await Promise.all([this.setLand(this.land), this.setPoints(now), this.setMarks(this.marks), this.setHere(this.spot)])
  }

  remove(): void { this.map.remove() }

  private source(name: string): GeoJSONSource { return this.map.getSource(name) as GeoJSONSource }
}

function collection(points: MapPoint[]): GeoJSON.FeatureCollection {
  return { type: 'FeatureCollection', features: points.map((p) => ({
    type: 'Feature', id: p.id, properties: { s: NUMBER[p.state], rank: NUMBER[p.state], label: p.label ?? '' },
    geometry: { type: 'Point', coordinates: [p.lon, p.lat] },
  })) }
}
