/** Service worker: keeps all files of the page, and gives them when there is no network. */

const CACHE = 'page';

self.addEventListener('install', (event) => event.waitUntil(keepAll()));
self.addEventListener('fetch', (event) => {
  if (event.request.method === 'GET') event.respondWith(fromNetworkOrCache(event.request));
});

async function keepAll() {
  const files = await (await fetch('files.json')).json(); // written by build.py
  await (await caches.open(CACHE)).addAll(files);
}

/** The network first, so that a page that was built again is seen. */
async function fromNetworkOrCache(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
}
