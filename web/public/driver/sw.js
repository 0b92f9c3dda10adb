// Keeps the page's own files, named by their contents, so that it opens without a network. Answers of the platform are
// never kept here: what is shown offline is what the page itself kept, with its time.
const NAME = 'anxin-driver-__VERSION__'
const FILES = __FILES__

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(['./', ...FILES])).then(() => self.skipWaiting()))
})
self.addEventListener('activate', (event) => {
  event.waitUntil(caches.keys()
    .then((names) => Promise.all(names.filter((name) => name.startsWith('anxin-driver-') && name !== NAME).map((name) => caches.delete(name))))
    .then(() => self.clients.claim()))
})
self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url)
  if (event.request.method !== 'GET' || url.origin !== location.origin || !url.pathname.startsWith(new URL('./', location).pathname)) return
  // The page itself is asked for first, so that a new version is seen; its files bear their contents in their names.
  const page = event.request.mode === 'navigate'
  event.respondWith(page
    ? fetch(event.request).catch(() => caches.match('./', { cacheName: NAME }))
    : caches.match(event.request, { cacheName: NAME, ignoreSearch: true }).then((found) => found ?? fetch(event.request)))
})
