// A server of wasi:http. It has begun already when it was built, and each request is answered by a fresh copy of that.
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  return new Response(`hello from JavaScript, ${await request.text()}\n`);
}
